"""Runs the commands of a project's setup in sequence."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration

from agent_svc.processes import supervised
from agent_svc.text import TextStream, system, tail
from heddle import pb
from heddle.timing.running_time import Timer

MAX_OUTPUT_BYTES: Final = 64 << 10

# Maximum bytes of a failed command's output that the reason of the failure includes.
_REASON_BYTES: Final = 2 << 10

Tell = Callable[[list[pb.Event]], Awaitable[None]]


@dataclass
class Report:
    """How commands ended. `command` is the one that failed, or "" if none failed."""

    command: str = ""
    exit_code: int | None = None
    # The end of their output.
    output: str = ""
    seconds: float = 0.0
    # The reason if something other than a command failed.
    problem: str = ""
    # True if the end of the command was not observed.
    lost: bool = False

    @property
    def ok(self) -> bool:
        return not (self.command or self.problem)

    def reason(self, what: str) -> str:
        """Returns a message that explains why `what` failed, with the end of its output."""
        if self.problem:
            why = self.problem
        elif self.exit_code is None:
            why = f"command '{self.command}' was ended by a signal or did not start"
        else:
            why = f"command '{self.command}' failed with exit code {self.exit_code}"
        said = tail(self.output.encode(), _REASON_BYTES).strip()
        return f"{what}: {why}:\n{said}" if said else f"{what}: {why}"


class Commands:
    """Commands that run in sequence up to the first failure and can be stopped."""

    def __init__(
        self,
        supervisors: supervised.Supervisors,
        prepared: Callable[[str], Awaitable[supervised.Command]],
        tell: Tell,
    ) -> None:
        self._supervisors = supervisors
        self._prepared = prepared
        self._tell = tell
        self._process: supervised.Supervised | None = None
        self._stop_grace: float | None = None
        self._problem = ""

    def stop(self, grace: float, problem: str) -> None:
        """Ends the running command and starts no other. The first problem is kept."""
        self._problem = self._problem or problem
        self._stop_grace = grace if self._stop_grace is None else min(grace, self._stop_grace)
        if self._process is not None:
            self._process.stop(self._stop_grace)

    async def run(self, what: str, commands: Sequence[str]) -> Report:
        """Runs `commands` and returns how they ended, once all their processes have ended.

        `what` is their name in reports.
        """
        begun = time.monotonic()
        kept = bytearray()
        report = Report()
        for command in commands:
            if self._problem:
                break
            await self._tell([system(f"{what}: {command}\n")])
            ended = await self._run(command, kept)
            if ended.code != 0 and not self._problem:
                report.command, report.exit_code, report.lost = command, ended.code, ended.lost
                break
        report.problem = self._problem
        report.output = tail(bytes(kept), MAX_OUTPUT_BYTES)
        report.seconds = time.monotonic() - begun
        return report

    async def run_within(self, what: str, commands: Sequence[str], limit: Duration, grace: float) -> Report:
        """Does the same as `run`, but stops the commands after `limit`. 0 means no limit."""
        seconds = limit.ToNanoseconds() / 1e9
        if not seconds:
            return await self.run(what, commands)
        problem = f"over its time limit of {seconds:g} s"
        timer = Timer(seconds, lambda: self.stop(grace, problem))
        try:
            return await self.run(what, commands)
        finally:
            timer.cancel()

    async def _run(self, command: str, kept: bytearray) -> supervised.Exit:
        try:
            process = await self._supervisors.start(
                await self._prepared(command), stdin=subprocess.DEVNULL, join_streams=True
            )
        except (OSError, ValueError) as error:
            kept += f"could not start: {error}\n".encode()
            return supervised.Exit(error=str(error))
        self._process = process
        if self._stop_grace is not None:
            process.stop(self._stop_grace)
        reader = asyncio.create_task(self._read(process.stdout, kept))
        ended = await process.wait()
        await process.close(reader)
        self._process = None
        if ended.exceeded:
            kept += f"the command {ended.exceeded}\n".encode()
        if ended.error:
            kept += f"could not start: {ended.error}\n".encode()
        return ended

    async def _read(self, stream: asyncio.StreamReader, kept: bytearray) -> None:
        text = TextStream(pb.OUTPUT_STREAM_STDOUT)
        while data := await stream.read(supervised.READ_LIMIT):
            kept += data
            del kept[:-MAX_OUTPUT_BYTES]
            await self._tell(text.feed(data))
        await self._tell(text.feed(b"", final=True))
