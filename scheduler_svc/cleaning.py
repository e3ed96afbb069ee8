"""Ends runs: removes their worktrees first, so that run_finished is the last word. Branches stay."""

import asyncio
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName
from scheduler_svc.acting import act
from scheduler_svc.leading import Lead
from scheduler_svc.places import tear_down
from scheduler_svc.snapshot import FinishRun
from scheduler_svc.store.doorbell import LOOP
from scheduler_svc.store.events import append, event
from scheduler_svc.store.resources import is_epic
from scheduler_svc.store.tables import epics, runs
from scheduler_svc.workers import call

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_REMOVE_TIMEOUT: Final = 120.0

# Worktrees that are torn down at the same time.
_AT_ONCE: Final = 4

# An epic that began and has no worktree that is known: its worker may have made one and not told. Nothing marks
# one that is clean: each leader asks its worker again, which is rare and cheap.
_MAY_HAVE_WORKTREE: Final = sa.or_(
    epics.c.worktree_path != "", sa.and_(epics.c.started_at.is_not(None), epics.c.start_commit == "")
)


def left_behind(connection: sa.Connection) -> list[RunName]:
    """Returns the ended runs that may still have worktrees."""
    chosen = (
        sa.select(runs.c.run)
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.ended_at.is_not(None), _MAY_HAVE_WORKTREE)
        .distinct()
    )
    return [RunName(run) for run in connection.execute(chosen).scalars()]


async def finish_run(lead: Lead, action: FinishRun) -> None:
    """Removes the run's worktrees, then ends it, unless something of it was reopened meanwhile."""
    await clean(lead, action.run)
    await lead.write(partial(act, action=action, now=lead.now()), LOOP, str(action.run))


async def clean(lead: Lead, run: RunName) -> None:
    """Tears the run's worktrees down and removes them, a few at a time.

    One that cannot be removed only logs; the next leader tries again.
    """
    at_once = asyncio.Semaphore(_AT_ONCE)
    epics_left = await lead.read(partial(_with_worktree, run=run))
    await asyncio.gather(*(_clean(lead, run, epic, at_once) for epic in epics_left))


async def _clean(lead: Lead, run: RunName, epic: Any, at_once: asyncio.Semaphore) -> None:
    async with at_once:
        project, worker_name, path = epic.project, epic.worker, epic.worktree_path
        name = EpicName(run.run, epic.epic)
        await tear_down(lead, name, epic)
        request = pb.RemoveWorktreeRequest(project=project, epic=str(name), epoch=lead.epoch)
        try:
            worker = lead.workers.get(worker_name)
            await call(worker.name, worker.worktree.RemoveWorktree, request, _REMOVE_TIMEOUT)
        except HeddleError as error:
            log.warning("worktree_not_removed", epic=str(name), path=path, error=error.message)
            return
        removed = partial(_removed, epic=name, path=path, worker=worker_name, now=lead.now())
        await lead.write(removed, str(run))


def _with_worktree(connection: sa.Connection, run: RunName) -> list[sa.Row[Any]]:
    chosen = (
        sa.select(
            runs.c.project,
            runs.c.worker,
            runs.c.project_file,
            epics.c.epic,
            epics.c.worktree_path,
            epics.c.lease,
        )
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.run == run.run, _MAY_HAVE_WORKTREE)
        .order_by(epics.c.place)
    )
    return list(connection.execute(chosen))


def _removed(connection: sa.Connection, epic: EpicName, path: str, worker: str, now: int) -> None:
    change = sa.update(epics).where(*is_epic(epic), epics.c.worktree_path == path)
    if path and connection.execute(change.values(worktree_path="", lease=None)).rowcount:
        removed = pb.WorktreeRemoved(path=path)
        append(connection, [event(epic, f"worker:{worker}", worktree_removed=removed)], now)
