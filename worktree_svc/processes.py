"""Processes of git: their end, and conversations with one that answers line by line."""

import os
import re
import select
import signal
import subprocess
import time
from contextlib import suppress
from typing import Final, NamedTuple

Process = subprocess.Popen[bytes]

_FOUND: Final = re.compile(rb"([0-9a-f]{40,64}) (commit|tree|blob|tag) (\d+)")

_READ_BYTES: Final = 64 << 10


class BrokenOffError(Exception):
    """The process ended, or took too long, before it had answered."""


class Found(NamedTuple):
    """An object that is there."""

    id: str
    bytes: int


def end(process: Process) -> None:
    """Ends a process and all that it started."""
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with suppress(BrokenPipeError):  # what nobody reads any more
                pipe.close()


class Reader:
    """The other side of a `git cat-file --batch-command`. Raises BrokenOffError when it can say no more."""

    def __init__(self, process: Process, seconds: float) -> None:
        self._process = process
        self._end = time.monotonic() + seconds
        self._held = b""

    def info(self, name: str) -> Found | None:
        """Returns the object that `name` means; None if there is none, or several."""
        return self._ask("info", name)

    def content(self, name: str) -> bytes | None:
        """Returns what the object holds; None if there is none."""
        found = self._ask("contents", name)
        if found is None:
            return None
        while len(self._held) <= found.bytes:
            self._more()
        content, self._held = self._held[: found.bytes], self._held[found.bytes + 1 :]
        return content

    def _ask(self, command: str, name: str) -> Found | None:
        if self._process.stdin is None:
            raise BrokenOffError
        try:
            self._process.stdin.write(f"{command} {name}\n".encode(errors="surrogateescape"))
            self._process.stdin.flush()
        except OSError as error:
            raise BrokenOffError from error
        while b"\n" not in self._held:
            self._more()
        line, _, self._held = self._held.partition(b"\n")
        match = _FOUND.fullmatch(line)
        return Found(match[1].decode(), int(match[3])) if match else None

    def _more(self) -> None:
        """Reads what has come; drops what git says beside it, lest it waits for somebody who reads that."""
        stdout, stderr = self._process.stdout, self._process.stderr
        if stdout is None or stderr is None:
            raise BrokenOffError
        poll = select.poll()
        for pipe in (stdout, stderr):
            poll.register(pipe, select.POLLIN)
        ready = dict(poll.poll(max(0.0, self._end - time.monotonic()) * 1000))
        if not ready:
            raise BrokenOffError
        if stderr.fileno() in ready:
            os.read(stderr.fileno(), _READ_BYTES)
        if stdout.fileno() in ready:
            chunk = os.read(stdout.fileno(), _READ_BYTES)
            if not chunk:
                raise BrokenOffError
            self._held += chunk
