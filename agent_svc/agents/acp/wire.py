"""The agent's process, which exchanges JSON-RPC messages with us, one on each line."""

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

# Seconds between two checks for the end of a process.
LOOK_EVERY: Final = 0.2


class Wire:
    """A transport for the protocol's library. Passes a line that is not a message to `stray`.

    A library of the agent may therefore print to standard output without harm. Bytes that are
    not UTF-8 become U+FFFD.
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
        """Returns the next message; None at the end of the agent's output."""
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
        """Ends the agent: closes its input, then sends SIGTERM, then SIGKILL, each `grace` seconds later."""
        self._stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                await asyncio.wait_for(exited(self.process), grace)
            except TimeoutError:
                # A program from npm is often a wrapper process around the real one.
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
            else:
                return


async def exited(process: asyncio.subprocess.Process) -> int:
    """Waits for the exit code, even if another process that still runs keeps the pipes open."""
    while process.returncode is None:
        # In some Python versions, `wait` also waits for the pipes.
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LOOK_EVERY)
    return process.returncode


async def start(
    arguments: Sequence[str], worktree: Path, environment: Mapping[str, str], stray: Callable[[str], None]
) -> Wire:
    """Starts an agent in `worktree`; raises OSError if the program does not exist.

    The agent inherits the host's standard error, which is part of the session's output.
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
