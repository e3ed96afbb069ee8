"""Terminals of the operator in worktrees: a shell on a pseudoterminal, with the boundary of a check.

HEDDLE_HOME/terminals/ID/lock   locked while any process of the terminal is alive
HEDDLE_HOME/terminals/ID/tmp    its private TMPDIR
"""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from agent_svc.processes import supervised
from agent_svc.processes.environment import UNATTENDED, agent_environment
from agent_svc.sandbox.bubblewrap import Resident
from agent_svc.sessions.standalone_checks import end_left, held_folder
from agent_svc.sessions.worker_context import WorkerContext
from agent_svc.terminals import pty_host
from heddle import errors, pb
from heddle.files.fencing import EpochFence
from heddle.files.worktree_paths import find_worktree, shared_folders
from heddle.names import EpicName

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Terminals that are open at a time.
MOST: Final = 4

# Seconds after which a terminal is ended in which nothing was typed or shown, and any terminal.
IDLE: Final = 900.0
LONGEST: Final = 8 * 3600.0

# Bytes of one request, and of typed input that waits for a program that does not read.
MOST_INPUT: Final = 64 << 10

# The longest side of a terminal, in characters.
_LONGEST_SIDE: Final = 1000

# Seconds between two looks at input that waits.
_PAUSE: Final = 0.05

Request = pb.AgentServiceOpenTerminalRequest


class Terminals:
    """Opens terminals, at most MOST at a time."""

    def __init__(self, folder: Path, fence: EpochFence, context: WorkerContext, *, allowed: bool) -> None:
        self._folder = folder
        self._fence = fence
        self._context = context
        # Whether the operator has opted in.
        self.allowed: Final = allowed
        self._open: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()

    async def recover(self) -> None:
        """Ends the processes that a killed agent_svc left running, and returns once they have ended."""
        await end_left(self._folder)

    async def drain(self) -> None:
        """Ends all terminals and refuses new ones."""
        self._draining.set()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def open(self, requests: AsyncIterator[Request]) -> AsyncIterator[bytes]:
        """Yields what a terminal shows, first nothing once its shell has started; raises the errors of the RPC.

        If the caller stops reading, the processes of the terminal are ended.
        """
        first = await anext(requests, Request())
        where = await self._place(first)
        terminal = _Terminal()
        life = asyncio.create_task(self._live(terminal, first.name, where))
        self._open.add(life)
        life.add_done_callback(self._done)
        typing: asyncio.Task[None] | None = None
        try:
            either: set[asyncio.Future[Any]] = {terminal.started, life}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not terminal.started.done():
                await life
            process = await terminal.started
            process.write(_size(first.size))
            yield b""
            typing = asyncio.create_task(_type(requests, process, terminal))
            async for output in self._shown(process, terminal):
                yield output
        finally:
            if typing is not None:
                typing.cancel()
            terminal.ending.set()
        await asyncio.shield(life)
        if terminal.why:
            raise errors.HeddleError(pb.ERROR_REASON_TERMINAL_ENDED, terminal.why)

    async def _place(self, first: Request) -> Path:
        if not self.allowed:
            raise off(self._context.worker)
        self._fence.check(first.epoch)
        name = EpicName.parse(first.name)
        _size(first.size)
        where = await asyncio.to_thread(find_worktree, self._context.home, name, "name")
        if self._draining.is_set():
            raise errors.HeddleError(pb.ERROR_REASON_DRAINING, "this worker is shutting down; try later")
        if len(self._open) >= MOST:
            raise errors.HeddleError(
                pb.ERROR_REASON_TOO_MANY_TERMINALS,
                f"{MOST} terminals are open on this worker, and it allows no more; close one",
                limit=str(MOST),
            )
        return where

    async def _live(self, terminal: "_Terminal", name: str, where: Path) -> None:
        """Runs the shell from its start until all its processes have ended."""
        try:
            async with held_folder(self._folder / uuid.uuid4().hex) as (scratch, file):
                command = await self._command(where, scratch, file)
                process = await self._context.supervisors.start(
                    command, stdin=subprocess.PIPE, join_streams=True
                )
                log.info("terminal_opened", epic=name)
                terminal.started.set_result(process)
                ended = asyncio.create_task(process.wait())
                asked = asyncio.create_task(_until(terminal.ending))
                draining = asyncio.create_task(self._draining.wait())
                await asyncio.wait({ended, asked, draining}, return_when=asyncio.FIRST_COMPLETED)
                if draining.done() and not ended.done():
                    terminal.why = "the worker is shutting down"
                process.stop(self._context.grace)
                await ended
                draining.cancel()
                # The caller gets what was shown until then, if it still reads.
                await process.close(asked)
                log.info("terminal_closed", epic=name)
        except (OSError, ValueError) as error:
            raise errors.HeddleError(
                pb.ERROR_REASON_INTERNAL, f"the terminal cannot be opened: {error}"
            ) from error

    async def _command(self, where: Path, scratch: Path, file: int) -> supervised.Command:
        environment = _environment(self._context.inherited, scratch)
        shell = environment.get("SHELL", "/bin/sh")
        host = (sys.executable, "-I", "-S", pty_host.__file__, shell, "-i")
        command = supervised.Command(
            host, where, environment, self._context.grace, file, processes=self._context.processes
        )
        shared = await asyncio.to_thread(shared_folders, where)
        return await self._context.boundary.held(
            command, Resident(where, scratch, environment, shared=shared)
        )

    async def _shown(self, process: supervised.Supervised, terminal: "_Terminal") -> AsyncIterator[bytes]:
        begun = time.monotonic()
        while True:
            now = time.monotonic()
            left = min(terminal.used + IDLE, begun + LONGEST) - now
            if left <= 0:
                over = now - begun >= LONGEST
                terminal.why = (
                    f"it was open for {LONGEST:g} s, the longest that a terminal may be"
                    if over
                    else f"nothing was typed or shown for {IDLE:g} s"
                )
                return
            try:
                async with asyncio.timeout(left):
                    output = await process.stdout.read(supervised.READ_LIMIT)
            except TimeoutError:
                continue
            if not output:
                return
            terminal.used = time.monotonic()
            yield output

    def _done(self, life: "asyncio.Task[None]") -> None:
        self._open.discard(life)
        if not life.cancelled():
            life.exception()  # the caller may be gone; asyncio warns about exceptions that no one retrieves


class _Terminal:
    """One open terminal."""

    def __init__(self) -> None:
        self.started: asyncio.Future[supervised.Supervised] = asyncio.get_running_loop().create_future()
        self.ending = asyncio.Event()
        # When something was last typed or shown.
        self.used = time.monotonic()
        # Why it was ended. Empty: its shell has exited, or the caller has left.
        self.why = ""


async def _type(
    requests: AsyncIterator[Request], process: supervised.Supervised, terminal: _Terminal
) -> None:
    """Passes on what is typed; ends the terminal if the caller sends no more."""
    try:
        async for request in requests:
            terminal.used = time.monotonic()
            if request.HasField("size"):
                process.write(_size(request.size))
            if len(request.input) > MOST_INPUT:
                terminal.why = (
                    f"an input of {len(request.input)} bytes is too long; {MOST_INPUT} are possible"
                )
                break
            process.write(pty_host.frame(b"d", request.input))
            # The caller, whose next request is not read, waits meanwhile.
            while process.unread > MOST_INPUT:  # noqa: ASYNC110 (a pipe rings no bell)
                await asyncio.sleep(_PAUSE)
    except errors.HeddleError as error:
        terminal.why = error.message
    finally:
        terminal.ending.set()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


def _size(size: pb.TerminalSize) -> bytes:
    if not (1 <= size.columns <= _LONGEST_SIDE and 1 <= size.rows <= _LONGEST_SIDE):
        raise errors.invalid_field(
            "size",
            f"takes 1 to {_LONGEST_SIDE} columns and rows, and {size.columns} by {size.rows} is not",
        )
    return pty_host.size_frame(size.columns, size.rows)


def _environment(inherited: tuple[str, ...], scratch: Path) -> Mapping[str, str]:
    """Returns the environment of a check, without what keeps programs from asking a person."""
    environment = agent_environment(
        os.environ,
        inherited,
        {"TMPDIR": str(scratch), "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        None,
    )
    return {name: value for name, value in environment.items() if UNATTENDED.get(name) != value}


def off(worker: str) -> errors.HeddleError:
    """Returns the error for a worker without terminals."""
    return errors.HeddleError(
        pb.ERROR_REASON_TERMINALS_OFF,
        f"terminals on worker {worker} are off; its operator turns them on with HEDDLE_TERMINAL=true, on one machine only",
        worker=worker,
    )
