"""The terminals that an ACP agent requests: runs commands in the host, and keeps and reports their output."""

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from acp.schema import TerminalExitStatus, TerminalOutputResponse

from agent_svc.agents.acp.wire import exited
from agent_svc.processes.signals import signal_name
from agent_svc.text import TextStream, tail
from heddle import pb

# The output that a terminal keeps if the agent sets no limit.
KEPT_BYTES: Final = 1 << 20

READ_BYTES: Final = 64 << 10

# Seconds to wait for the remaining output after the command has ended.
REST: Final = 1.0


class Terminal:
    """One command. `tell` is called with each new piece of its output."""

    def __init__(self, process: asyncio.subprocess.Process, limit: int, tell: Callable[[str], None]) -> None:
        self._process = process
        self._limit = limit
        self._tell = tell
        self._kept = bytearray()
        self._truncated = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (open_terminal makes the pipe)
        stream = TextStream(pb.OUTPUT_STREAM_STDOUT)
        while data := await self._process.stdout.read(READ_BYTES):
            self._kept += data
            if len(self._kept) > self._limit:
                self._truncated = True
                del self._kept[: -self._limit or None]
            for event in stream.feed(data):
                self._tell(event.output.text)
        for event in stream.feed(b"", final=True):
            self._tell(event.output.text)

    @property
    def runs(self) -> bool:
        """True until the command has ended."""
        return self._process.returncode is None

    def output(self) -> TerminalOutputResponse:
        """Returns the last part of the output so far, and the exit status once the command has ended."""
        ended = None if self._process.returncode is None else self._exit_status()
        kept = tail(bytes(self._kept), self._limit) if self._limit else ""
        return TerminalOutputResponse(output=kept, truncated=self._truncated, exit_status=ended)

    async def wait(self) -> TerminalExitStatus:
        """Waits for the end of the command and its output; returns the exit status."""
        await exited(self._process)
        # A process that the command left running may keep the pipe open forever.
        await asyncio.wait([self._reading], timeout=REST)
        return self._exit_status()

    def kill(self) -> None:
        """Kills the command and the processes that it started. Idempotent."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _exit_status(self) -> TerminalExitStatus:
        code = self._process.returncode or 0
        if code < 0:
            return TerminalExitStatus(signal=signal_name(-code))
        return TerminalExitStatus(exit_code=code)


def command_line(command: str, arguments: Sequence[str]) -> str:
    """Returns the command for display: unchanged if the agent sent a whole line."""
    return shlex.join([command, *arguments]) if arguments else command


async def open_terminal(
    line: str, folder: Path, environment: Mapping[str, str], limit: int | None, tell: Callable[[str], None]
) -> Terminal:
    """Runs `line` in a shell in `folder`."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        line,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    return Terminal(process, KEPT_BYTES if limit is None else limit, tell)
