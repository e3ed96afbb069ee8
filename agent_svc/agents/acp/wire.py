"""The agent's process, and one JSON-RPC message a line to and from it."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent_svc.text import whole_characters

# A message may carry a picture or a whole file.
MAX_LINE_BYTES: Final = 64 << 20

# Seconds between two looks whether a process has ended that did not say so.
LOOK_EVERY: Final = 0.2


class Wire:
    """A transport of the protocol's library. A line that is not a message is passed to `stray`.

    A library of the agent's that prints to standard output does no harm that way, and bytes
    that are not UTF-8 become U+FFFD.
    """

    def __init__(self, process: asyncio.subprocess.Process, stray: Callable[[str], None]) -> None:
        assert process.stdin is not None  # noqa: S101 (start makes both pipes)
        assert process.stdout is not None  # noqa: S101 (same)
        self.process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._stray = stray

    async def send(self, message: dict[str, Any]) -> None:
        self._stdin.write(json.dumps(message).encode() + b"\n")
        await self._stdin.drain()

    async def receive(self) -> dict[str, Any] | None:
        """Returns the next message; None once the agent will say no more."""
        while line := await self._line():
            text = line.decode(errors="replace")
            try:
                message = whole_characters(json.loads(text))
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict):
                return message
            if text.strip():
                self._stray(text)
        return None

    async def _line(self) -> bytes:
        try:
            return await self._stdout.readline()
        except ValueError:
            self._stray(f"(the agent wrote a line of over {MAX_LINE_BYTES >> 20} MiB)\n")
            return b""

    async def close(self) -> None:
        self._stdin.close()

    async def end(self, grace: float) -> None:
        """Ends the agent: its input ends, then SIGTERM, then SIGKILL, each `grace` seconds later."""
        self._stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                await asyncio.wait_for(exited(self.process), grace)
            except TimeoutError:
                # npm's programs are often a process around the real one.
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
            else:
                return


async def exited(process: asyncio.subprocess.Process) -> int:
    """Returns the exit code, even if a process that was left running holds the pipes open."""
    while process.returncode is None:
        # On some versions of Python `wait` waits for the pipes, too.
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LOOK_EVERY)
    return process.returncode


async def start(
    arguments: Sequence[str], worktree: Path, environment: Mapping[str, str], stray: Callable[[str], None]
) -> Wire:
    """Starts an agent in `worktree`; raises OSError if there is no such program.

    Its standard error is the host's own, which is the session's.
    """
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=worktree,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
        start_new_session=True,
    )
    return Wire(process, stray)
