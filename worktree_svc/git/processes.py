"""Processes of git: their end, and conversations with one that answers one question after the other."""

import os
import re
import secrets
import select
import selectors
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import IO, Final, NamedTuple

from heddle.running_time import Limit

Process = subprocess.Popen[bytes]

_FOUND: Final = re.compile(rb"([0-9a-f]{40,64}) (commit|tree|blob|tag) (\d+)")

_READ_BYTES: Final = 64 << 10

_LAST_WORDS_MILLISECONDS: Final = 1_000


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


def communicate(process: Process, words: bytes, seconds: float) -> tuple[bytes, bytes]:
    """Gives a process its input; returns what it has printed once it has ended. Raises TimeoutExpired, and leaves it alone then.

    As subprocess does, which however looks for the end only after pauses of a millisecond and more.
    """
    limit = Limit(seconds)
    said: dict[IO[bytes] | None, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    left = memoryview(words)
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe:
                selector.register(pipe, selectors.EVENT_READ, pipe)
        if process.stdin:
            selector.register(process.stdin, selectors.EVENT_WRITE, process.stdin)
        while selector.get_map():
            ready = limit.wait(selector.select)
            if not ready:
                raise subprocess.TimeoutExpired(process.args, seconds)
            for key, _ in ready:
                if key.data is process.stdin:
                    left = left[_write(key.fd, left) :]
                    goes_on = bool(left)
                else:
                    chunk = os.read(key.fd, _READ_BYTES)
                    said[key.data] += chunk
                    goes_on = bool(chunk)
                if not goes_on:
                    selector.unregister(key.data)
                    key.data.close()
    if not _has_ended(process, limit):
        raise subprocess.TimeoutExpired(process.args, seconds)
    return bytes(said[process.stdout]), bytes(said[process.stderr])


def _write(pipe: int, words: memoryview) -> int:
    """Writes what surely fits; returns how much, all of it where nobody reads any more."""
    try:
        return os.write(pipe, words[: select.PIPE_BUF])
    except BrokenPipeError:  # it ended early; its exit code tells
        return len(words)


def _has_ended(process: Process, limit: Limit) -> bool:
    """Waits for the end of a process, until `limit`; returns whether it came."""
    if process.poll() is not None:
        return True
    if not hasattr(os, "pidfd_open"):  # only Linux has it
        return limit.wait(partial(_ends_within, process))
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        if limit.wait(lambda seconds: poll.poll(seconds * 1000)):
            process.wait()
    finally:
        os.close(ended)
    return process.returncode is not None


def _ends_within(process: Process, seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


class Conversation:
    """What is written to a git and read from it. Raises BrokenOffError when it can say no more."""

    def __init__(self, process: Process, seconds: float) -> None:
        self._process = process
        self._limit = Limit(seconds)
        self._held = b""
        # The last that it said beside its answers.
        self.complaint = ""

    def _say(self, text: bytes) -> None:
        if self._process.stdin is None:
            raise BrokenOffError
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError as error:
            self._hear_out()
            raise BrokenOffError from error

    def _line(self) -> bytes:
        """Returns the next line, without its end."""
        while b"\n" not in self._held:
            self._more()
        line, _, self._held = self._held.partition(b"\n")
        return line

    def _more(self) -> None:
        """Reads what has come, also what git says beside it, lest it waits for somebody who reads that."""
        stdout, stderr = self._process.stdout, self._process.stderr
        if stdout is None or stderr is None:
            raise BrokenOffError
        poll = select.poll()
        for pipe in (stdout, stderr):
            poll.register(pipe, select.POLLIN)
        ready = dict(self._limit.wait(lambda seconds: poll.poll(seconds * 1000)))
        if not ready:
            raise BrokenOffError
        if stderr.fileno() in ready:
            self._hear(stderr)
        if stdout.fileno() in ready:
            chunk = os.read(stdout.fileno(), _READ_BYTES)
            if not chunk:
                self._hear_out()
                raise BrokenOffError
            self._held += chunk

    def _hear_out(self) -> None:
        """Reads what a git that has ended said last; something that it started may hold the pipe, and say nothing."""
        stderr = self._process.stderr
        if stderr:
            poll = select.poll()
            poll.register(stderr, select.POLLIN)
            while poll.poll(_LAST_WORDS_MILLISECONDS) and self._hear(stderr):
                pass

    def _hear(self, stderr: IO[bytes]) -> bool:
        said = os.read(stderr.fileno(), _READ_BYTES)
        if said:
            self.complaint = said.decode(errors="replace")
        return bool(said)


class Reader(Conversation):
    """The other side of a `git cat-file --batch-command`."""

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
        self._say(f"{command} {name}\n".encode(errors="surrogateescape"))
        match = _FOUND.fullmatch(self._line())
        return Found(match[1].decode(), int(match[3])) if match else None


class Comparer(Conversation):
    """The other side of a `git diff-tree --stdin`."""

    def __init__(self, process: Process, seconds: float) -> None:
        super().__init__(process, seconds)
        # git repeats a line that names no object; nobody who writes files can know this one.
        self._mark = f"end-{secrets.token_hex(16)}\n".encode()
        # Whether all that it had to say has been read.
        self.done = False

    def begin(self, older: str, newer: str) -> bool:
        """Asks how two trees differ; returns False if git cannot compare them."""
        line = f"{older} {newer}\n".encode()
        self._say(line + self._mark)
        # It names the trees before it says how they differ: without that, silence would mean "not at all".
        return self._line() == line.removesuffix(b"\n")

    def pieces(self) -> Iterator[bytes]:
        """Yields what git says about them, as it comes; `done` is true after the last piece."""
        while not self._held.endswith(self._mark):
            # What is kept back may be the beginning of the mark.
            piece, self._held = self._held[: -len(self._mark)], self._held[-len(self._mark) :]
            if piece:
                yield piece
            self._more()
        self.done = True
        yield self._held.removesuffix(self._mark)
