"""Checks that run outside of a session, such as those of a merged tree. Reports are streamed, not stored.

HEDDLE_HOME/checks/HASH/lock   locked while any process of the checks is alive
HEDDLE_HOME/checks/HASH/tmp    their private TMPDIR
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from agent_svc.log.spool import lock
from agent_svc.processes import supervised
from agent_svc.processes.environment import agent_environment
from agent_svc.sandbox.bubblewrap import Resident
from agent_svc.sessions.checks import run_check
from agent_svc.sessions.session import POLL_LOCK
from agent_svc.sessions.worker_context import WorkerContext
from heddle import errors, pb
from heddle.files.fencing import EpochFence
from heddle.files.worktree_paths import find_worktree, shared_folders
from heddle.names import run_or_epic
from heddle.timing.running_time import Timer

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_LOCK: Final = "lock"
_SCRATCH: Final = "tmp"


class StandaloneChecks:
    """Runs checks. Checks of the same resource never run at the same time."""

    def __init__(self, folder: Path, fence: EpochFence, context: WorkerContext) -> None:
        self._folder = folder
        self._fence = fence
        self._context = context
        self._draining = False
        self._runs: dict[str, _Run] = {}
        self._lives: set[asyncio.Task[None]] = set()

    async def recover(self) -> None:
        """Ends the processes that a killed agent_svc left running, and returns once they have ended."""
        await end_left(self._folder)

    async def run(self, request: pb.RunChecksRequest) -> AsyncIterator[pb.CheckFinished]:
        """Yields the report of each check. If the caller stops reading, ends the processes of the checks.

        Stops earlier checks of the same resource first.
        """
        self._fence.check(request.epoch)
        resource = run_or_epic(request.resource)
        where = await asyncio.to_thread(find_worktree, self._context.home, resource, "resource")
        name = str(resource)
        while former := self._runs.get(name):
            former.stop(self._context.grace)
            await former.over.wait()
        if self._draining:
            raise errors.HeddleError(pb.ERROR_REASON_DRAINING, "this worker is shutting down; try later")
        run = self._runs[name] = _Run(where)
        life = asyncio.create_task(self._live(name, run, request))
        self._lives.add(life)
        life.add_done_callback(self._done)
        try:
            while report := await run.reports.get():
                yield report
        finally:
            run.stop(self._context.grace)
        # Raises the exception of a defect in Heddle, if any.
        await life

    async def drain(self) -> None:
        """Ends all running checks and rejects new ones."""
        self._draining = True
        for run in self._runs.values():
            run.stop(self._context.grace)
        await asyncio.gather(*self._lives, return_exceptions=True)

    def _done(self, life: "asyncio.Task[None]") -> None:
        self._lives.discard(life)
        if not life.cancelled():
            life.exception()  # the caller may be gone; asyncio warns about exceptions that no one retrieves

    async def _live(self, name: str, run: "_Run", request: pb.RunChecksRequest) -> None:
        folder = self._folder / hashlib.sha256(name.encode()).hexdigest()[:12]
        limit = request.timeout.ToNanoseconds() / 1e9 if request.HasField("timeout") else None
        timer = None
        if limit is not None:
            timer = Timer(limit, lambda: run.time_out(self._context.grace))
        try:
            async with held_folder(folder) as (scratch, file):
                for check in request.checks:
                    if not run.stopping:
                        await run.reports.put(await self._check(run, request, check, scratch, file))
            if run.stopping and not run.timed_out:
                raise errors.HeddleError(pb.ERROR_REASON_DRAINING, "the checks were ended; run them again")
        finally:
            if timer is not None:
                timer.cancel()
            del self._runs[name]
            run.over.set()
            await run.reports.put(None)

    async def _check(
        self, run: "_Run", request: pb.RunChecksRequest, check: pb.Check, scratch: Path, file: int
    ) -> pb.CheckFinished:
        added = {**request.environment, "TMPDIR": str(scratch)}
        environment = agent_environment(os.environ, self._context.inherited, added, "")
        del environment["HEDDLE_PROMPT"]
        context, where = self._context, run.where
        try:
            shared = await asyncio.to_thread(shared_folders, where)
            resident = Resident(where, scratch, environment, shared=shared)
            shell = ("/bin/sh", "-c", check.run)
            command = supervised.Command(
                shell, where, environment, context.grace, file, processes=context.processes
            )
            command = await context.boundary.held(command, resident)
            report = await run_check(check, command, self._context.supervisors, run.attach)
        except (OSError, ValueError) as error:
            return pb.CheckFinished(name=check.name, command=check.run, output=f"could not start: {error}")
        if run.timed_out:
            report.ok = False
            report.output += f"\nover the time limit of {request.timeout.ToNanoseconds() / 1e9:g} s\n"
        log.info("check_finished", resource=request.resource, check=check.name, ok=report.ok)
        return report


class _Run:
    """The running checks of one call."""

    def __init__(self, where: Path) -> None:
        self.where = where
        # None marks the end of the reports.
        self.reports: asyncio.Queue[pb.CheckFinished | None] = asyncio.Queue()
        self.over = asyncio.Event()
        self.stopping = False
        self.timed_out = False
        self._grace = 0.0
        self._process: supervised.Supervised | None = None

    def attach(self, process: supervised.Supervised) -> None:
        self._process = process
        if self.stopping:
            process.stop(self._grace)

    def stop(self, grace: float) -> None:
        """Ends the running check after at most `grace` seconds and starts no other. Idempotent."""
        if not self.over.is_set() and not self.stopping:
            self.stopping, self._grace = True, grace
            if self._process is not None:
                self._process.stop(grace)

    def time_out(self, grace: float) -> None:
        self.timed_out = True
        self.stop(grace)


@asynccontextmanager
async def held_folder(folder: Path) -> AsyncIterator[tuple[Path, int]]:
    """Yields the private TMPDIR of a command, and the descriptor of its lock; removes the folder after the block."""
    scratch = folder / _SCRATCH
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = await _taken(folder / _LOCK)
    try:
        yield scratch, file
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        os.close(file)


async def end_left(folders: Path) -> None:
    """Ends what a killed agent_svc left running in the folders below one; returns once it has ended."""
    for folder in folders.glob("*"):
        file = await _taken(folder / _LOCK)
        await supervised.end_marked("TMPDIR", str(folder / _SCRATCH))
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        os.close(file)


async def _taken(path: Path) -> int:
    """Waits until no other process holds the lock, then returns the descriptor of the locked file."""
    while (file := lock(path)) is None:  # noqa: ASYNC110 (its holder rings no bell)
        await asyncio.sleep(POLL_LOCK)
    return file
