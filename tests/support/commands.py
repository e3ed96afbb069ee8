"""The real `heddle` command as a process, with its output as it is printed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil

from tests.support import warm
from tests.support.warm import Started

HEDDLE = Path(sys.executable).parent / "heddle"

# Seconds until a test gives up waiting; two cores may be busy with other tests.
DEADLINE = 60.0

# These start other programs, so they are started as users do.
STARTERS = (("up",), ("demo",))


class Command:
    """One running command. `out` and `err` contain its output so far."""

    def __init__(self, process: Started, out: int, err: int) -> None:
        self.process = process
        self.out = ""
        self.err = ""
        self._news = asyncio.Condition()
        self._readers = [
            asyncio.create_task(self._read("out", out)),
            asyncio.create_task(self._read("err", err)),
        ]

    @classmethod
    async def start(
        cls, *arguments: str, env: Mapping[str, str], cwd: Path | None = None, cold: bool = False
    ) -> Self:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HEDDLE_")}
        (out, stdout), (err, stderr) = os.pipe(), os.pipe()
        try:
            start = _cold if cold or arguments[:1] in STARTERS else partial(warm.start, "heddle")
            process = await asyncio.to_thread(
                start, *arguments, env={**inherited, **env}, cwd=cwd, stdout=stdout, stderr=stderr
            )
        finally:
            os.close(stdout)
            os.close(stderr)
        return cls(process, out, err)

    async def says(self, text: str) -> None:
        """Returns once `text` was printed to either stream; fails if it never is."""
        try:
            async with asyncio.timeout(DEADLINE), self._news:
                await self._news.wait_for(lambda: text in self.out or text in self.err or self._has_ended())
        except TimeoutError:
            raise AssertionError(f"did not say {text!r}:\n{self.out}\n{self.err}") from None
        assert text in self.out or text in self.err, f"never said {text!r}:\n{self.out}\n{self.err}"

    async def exit_code(self) -> int:
        async with asyncio.timeout(DEADLINE):
            code = await asyncio.to_thread(self.process.wait)
            await asyncio.gather(*self._readers)
        return code

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def descendants(self) -> list[psutil.Process]:
        """Returns every process below this one as of now."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def _has_ended(self) -> bool:
        return all(reader.done() for reader in self._readers)

    async def _read(self, name: str, file: int) -> None:
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(file, "rb"))
        while piece := await stream.read(65536):
            async with self._news:
                setattr(self, name, getattr(self, name) + piece.decode(errors="replace"))
                self._news.notify_all()
        asyncio.get_running_loop().call_soon(asyncio.create_task, self._notify())

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()


def _cold(*arguments: str, **how: Any) -> Started:
    return subprocess.Popen([str(HEDDLE), *arguments], stdin=subprocess.DEVNULL, **how)


@asynccontextmanager
async def running(
    *arguments: str, env: Mapping[str, str], cwd: Path | None = None, cold: bool = False
) -> AsyncIterator[Command]:
    """Starts `heddle ARGUMENTS`; at the end, ends it and all of its child processes.

    `cold`: as users start it, so that it imports its modules itself.
    """
    command = await Command.start(*arguments, env=env, cwd=cwd, cold=cold)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            left = command.descendants()
            command.process.kill()
            for process in left:
                if process.is_running():
                    process.kill()
        await command.exit_code()


async def run(*arguments: str, env: Mapping[str, str], cwd: Path | None = None) -> tuple[int, str, str]:
    """Returns the exit code, standard output and standard error of `heddle ARGUMENTS`."""
    async with running(*arguments, env=env, cwd=cwd) as command:
        code = await command.exit_code()
        return code, command.out, command.err


async def gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Returns those of `processes` that still run after the deadline; waits no longer than needed."""
    assert processes
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, DEADLINE)
    return [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
