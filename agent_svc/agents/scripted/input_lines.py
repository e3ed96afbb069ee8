"""Reads the lines that agent_svc sends to the scripted agent, with an optional time limit."""

import os
import select
import time

# The maximum size of one read.
_BYTES = 64 << 10


class InputLines:
    """The lines of a pipe. A thread would also work, but could not be abandoned at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = bytearray()
        # True: the other end has closed.
        self.ended = False

    def line(self, seconds: float | None = None) -> bytes | None:
        """Returns the next line; None if no line arrived within `seconds` or the other end has closed.

        Without `seconds`, waits without a limit. If the other end has closed, still waits for
        all of `seconds`.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._read:
            left = None if until is None else max(0.0, until - time.monotonic())
            if self.ended:
                time.sleep(left or 0.0)
                return None
            if not select.select([self._descriptor], [], [], left)[0]:
                return None
            data = os.read(self._descriptor, _BYTES)
            self._read += data
            self.ended = not data
        line, _, self._read = self._read.partition(b"\n")
        return bytes(line)
