"""What agent_svc tells the scripted agent, waited for no longer than the agent wants."""

import os
import select
import time

# Of one read.
_BYTES = 64 << 10


class Incoming:
    """The lines of a pipe. A thread would do too, but could not be left behind at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = bytearray()
        self._ended = False

    def line(self, seconds: float | None = None) -> bytes | None:
        """Returns the next line; None where none came within `seconds`, or the other end has gone.

        Without `seconds` it waits as long as it takes. It takes all of `seconds` also
        where the other end has gone.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._read:
            left = None if until is None else max(0.0, until - time.monotonic())
            if self._ended:
                time.sleep(left or 0.0)
                return None
            if not select.select([self._descriptor], [], [], left)[0]:
                return None
            data = os.read(self._descriptor, _BYTES)
            self._read += data
            self._ended = not data
        line, _, self._read = self._read.partition(b"\n")
        return bytes(line)
