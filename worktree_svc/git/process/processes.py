"""Ends git processes, and holds conversations with processes that answer several questions."""

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

from heddle.timing.running_time import Limit

Process = subprocess.Popen[bytes]

_FOUND: Final = re.compile(rb"([0-9a-f]{40,64}) (commit|tree|blob|tag) (\d+)")

_READ_BYTES: Final = 64 << 10

_DRAIN_MILLISECONDS: Final = 1_000


class ConversationEndedError(Exception):
    """The process ended before it answered, or took too long to answer."""


class ObjectInfo(NamedTuple):
    """An object that exists."""

    id: str
    bytes: int


def end(process: Process) -> None:
    """Ends a process and its process group."""
    with suppress(ProcessLookupError):  # it has already ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with suppress(BrokenPipeError):  # buffered input that the process will not read
                pipe.close()


def communicate(process: Process, stdin: bytes, seconds: float) -> tuple[bytes, bytes]:
    """Writes a process's input and returns its outputs.

    After a timeout, raises TimeoutExpired without ending the process. subprocess.communicate
    would poll for the end, with pauses of a millisecond or more.
    """
    limit = Limit(seconds)
    outputs: dict[IO[bytes] | None, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    left = memoryview(stdin)
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
                    is_open = bool(left)
                else:
                    chunk = os.read(key.fd, _READ_BYTES)
                    outputs[key.data] += chunk
                    is_open = bool(chunk)
                if not is_open:
                    selector.unregister(key.data)
                    key.data.close()
    if not _has_ended(process, limit):
        raise subprocess.TimeoutExpired(process.args, seconds)
    return bytes(outputs[process.stdout]), bytes(outputs[process.stderr])


def _write(pipe: int, data: memoryview) -> int:
    """Writes as much as fits without blocking; returns how much, or everything if the pipe is closed."""
    try:
        return os.write(pipe, data[: select.PIPE_BUF])
    except BrokenPipeError:  # it ended early; its exit code shows why
        return len(data)


def _has_ended(process: Process, limit: Limit) -> bool:
    """Waits for a process to end, at most until `limit`; returns whether it has ended."""
    if process.poll() is not None:
        return True
    if not hasattr(os, "pidfd_open"):  # exists only on Linux
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
    """The input and output of a git process that answers questions.

    Raises ConversationEndedError if it cannot answer.
    """

    def __init__(self, process: Process, seconds: float) -> None:
        self._process = process
        self._limit = Limit(seconds)
        self._held = b""
        # The end of its stderr output.
        self.complaint = ""
        # Whether it took too long to answer.
        self.timed_out = False

    def _send(self, text: bytes) -> None:
        if self._process.stdin is None:
            raise ConversationEndedError
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError as error:
            self._drain_stderr()
            raise ConversationEndedError from error

    def _line(self) -> bytes:
        """Returns the next line, without its line break."""
        while b"\n" not in self._held:
            self._receive()
        line, _, self._held = self._held.partition(b"\n")
        return line

    def _receive(self) -> None:
        """Reads available output, also from stderr, because git would block if that pipe were full."""
        stdout, stderr = self._process.stdout, self._process.stderr
        if stdout is None or stderr is None:
            raise ConversationEndedError
        poll = select.poll()
        for pipe in (stdout, stderr):
            poll.register(pipe, select.POLLIN)
        ready = dict(self._limit.wait(lambda seconds: poll.poll(seconds * 1000)))
        if not ready:
            self.timed_out = True
            raise ConversationEndedError
        if stderr.fileno() in ready:
            self._read_stderr(stderr)
        if stdout.fileno() in ready:
            chunk = os.read(stdout.fileno(), _READ_BYTES)
            if not chunk:
                self._drain_stderr()
                raise ConversationEndedError
            self._held += chunk

    def _drain_stderr(self) -> None:
        """Reads what an ended git process left on stderr.

        Does not wait for child processes that keep the pipe open.
        """
        stderr = self._process.stderr
        if stderr:
            poll = select.poll()
            poll.register(stderr, select.POLLIN)
            while poll.poll(_DRAIN_MILLISECONDS) and self._read_stderr(stderr):
                pass

    def _read_stderr(self, stderr: IO[bytes]) -> bool:
        chunk = os.read(stderr.fileno(), _READ_BYTES)
        if chunk:
            self.complaint = chunk.decode(errors="replace")
        return bool(chunk)


class CatFile(Conversation):
    """A conversation with `git cat-file --batch-command`."""

    def info(self, name: str) -> ObjectInfo | None:
        """Returns the object that `name` refers to; None if the name is unknown or ambiguous."""
        return self._ask("info", name)

    def content(self, name: str) -> bytes | None:
        """Returns the content of an object; None if it does not exist."""
        found = self._ask("contents", name)
        if found is None:
            return None
        while len(self._held) <= found.bytes:
            self._receive()
        content, self._held = self._held[: found.bytes], self._held[found.bytes + 1 :]
        return content

    def _ask(self, command: str, name: str) -> ObjectInfo | None:
        self._send(f"{command} {name}\n".encode(errors="surrogateescape"))
        match = _FOUND.fullmatch(self._line())
        return ObjectInfo(match[1].decode(), int(match[3])) if match else None


class DiffTree(Conversation):
    """A conversation with `git diff-tree --stdin`."""

    def __init__(self, process: Process, seconds: float) -> None:
        super().__init__(process, seconds)
        # git echoes a line that names no object. This line is random, so no file content can imitate it.
        self._mark = f"end-{secrets.token_hex(16)}\n".encode()
        # Whether the whole answer has been read.
        self.done = False

    def begin(self, older: str, newer: str) -> bool:
        """Requests the differences between two trees; returns False if git cannot compare them."""
        line = f"{older} {newer}\n".encode()
        self._send(line + self._mark)
        # git prints the trees before their differences. Without this check, an error without output would look
        # like "no difference".
        return self._line() == line.removesuffix(b"\n")

    def pieces(self) -> Iterator[bytes]:
        """Yields git's answer as it arrives; `done` is true after the last piece."""
        while not self._held.endswith(self._mark):
            # Hold back the end, because it may be the beginning of the mark.
            piece, self._held = self._held[: -len(self._mark)], self._held[-len(self._mark) :]
            if piece:
                yield piece
            self._receive()
        self.done = True
        yield self._held.removesuffix(self._mark)


class RefTransactions(Conversation):
    """A conversation with `git update-ref -z --stdin`, which changes refs in one transaction after another.

    git ends when a transaction fails, and changes nothing if its input ends before the transaction does.
    """

    def commit(self, lines: str) -> None:
        """Carries out a transaction; `lines` are its commands. Returns once git has moved all refs."""
        self._send(f"start\0{lines}commit\0".encode())
        for answer in (b"start: ok", b"commit: ok"):
            if self._line() != answer:
                raise ConversationEndedError
