"""Ends runs: removes their worktrees first, so that run_finished is the last word. Branches stay."""

from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName
from scheduler_svc.acting import act
from scheduler_svc.leading import Lead
from scheduler_svc.snapshot import FinishRun
from scheduler_svc.store.doorbell import LOOP
from scheduler_svc.store.events import append, event
from scheduler_svc.store.resources import is_epic
from scheduler_svc.store.tables import epics, runs
from scheduler_svc.workers import call

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_REMOVE_TIMEOUT: Final = 120.0


def left_behind(connection: sa.Connection) -> list[RunName]:
    """Returns the ended runs that still have worktrees."""
    chosen = (
        sa.select(runs.c.run)
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.ended_at.is_not(None), epics.c.worktree_path != "")
        .distinct()
    )
    return [RunName(run) for run in connection.execute(chosen).scalars()]


async def finish_run(lead: Lead, action: FinishRun) -> None:
    """Removes the run's worktrees, then ends it, unless something of it was reopened meanwhile."""
    await clean(lead, action.run)
    await lead.write(partial(act, action=action, now=lead.now()), LOOP, str(action.run))


async def clean(lead: Lead, run: RunName) -> None:
    """Removes the run's worktrees. One that cannot be removed only logs; the next leader tries again."""
    for epic in await lead.read(partial(_with_worktree, run=run)):
        project, worker_name, path = epic.project, epic.worker, epic.worktree_path
        name = EpicName(run.run, epic.epic)
        request = pb.RemoveWorktreeRequest(project=project, epic=str(name), epoch=lead.epoch)
        try:
            worker = lead.workers.get(worker_name)
            await call(worker.name, worker.worktree.RemoveWorktree, request, _REMOVE_TIMEOUT)
        except HeddleError as error:
            log.warning("worktree_not_removed", epic=str(name), path=path, error=error.message)
            continue
        removed = partial(_removed, epic=name, path=path, worker=worker_name, now=lead.now())
        await lead.write(removed, str(run))


def _with_worktree(connection: sa.Connection, run: RunName) -> list[sa.Row[tuple[str, str, str, str]]]:
    chosen = (
        sa.select(runs.c.project, runs.c.worker, epics.c.epic, epics.c.worktree_path)
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.run == run.run, epics.c.worktree_path != "")
        .order_by(epics.c.place)
    )
    return list(connection.execute(chosen))


def _removed(connection: sa.Connection, epic: EpicName, path: str, worker: str, now: int) -> None:
    change = sa.update(epics).where(*is_epic(epic), epics.c.worktree_path == path)
    if connection.execute(change.values(worktree_path="")).rowcount:
        removed = pb.WorktreeRemoved(path=path)
        append(connection, [event(epic, f"worker:{worker}", worktree_removed=removed)], now)
