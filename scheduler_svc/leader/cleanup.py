"""Ends runs, and removes worktrees when it is time. Branches stay.

At the end of a run the worktrees go that nobody needs to look at, so that run_finished is the last
word where all is well. The others are only torn down then; they go once they were kept long enough.
"""

import asyncio
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName
from scheduler_svc.commands.apply_action import act
from scheduler_svc.leader.project_setup import tear_down
from scheduler_svc.leader.term import Lead
from scheduler_svc.policy.snapshot import FinishRun
from scheduler_svc.pools.workers import call
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.tables import epics, runs
from scheduler_svc.store.queries.resources import is_epic
from scheduler_svc.store.rows.retention import Retention

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_REMOVE_TIMEOUT: Final = 120.0

# Worktrees that are torn down at the same time.
_AT_ONCE: Final = 4

# An epic that began and has no worktree that is known: its worker may have made one and not told. Nothing marks
# one that is clean: each leader asks its worker again, which is rare and cheap.
_UNTOLD: Final = sa.and_(
    epics.c.worktree_path == "", epics.c.started_at.is_not(None), epics.c.start_commit == ""
)


def left_behind(connection: sa.Connection, retention: Retention, now: int) -> list[RunName]:
    """Returns the ended runs of which a worktree is to be removed or torn down."""
    chosen = (
        sa.select(runs.c.run)
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.ended_at.is_not(None), _has_work(retention, now))
        .distinct()
    )
    return [RunName(run) for run in connection.execute(chosen).scalars()]


async def finish_run(lead: Lead, action: FinishRun) -> None:
    """Cleans up after the run, then ends it, unless something of it was reopened meanwhile."""
    await _clean(lead, action.run, sa.true())
    await lead.write(partial(act, action=action, now=lead.now()), LOOP, str(action.run))


async def clean(lead: Lead, run: RunName) -> list[str]:
    """Tears down the worktrees of an ended run and removes those whose time has come, a few at a time.

    Returns why any could not be removed, which is also logged; it is tried again each hour.
    """
    return await _clean(lead, run, runs.c.ended_at.is_not(None))


async def _clean(lead: Lead, run: RunName, condition: sa.ColumnElement[bool]) -> list[str]:
    at_once = asyncio.Semaphore(_AT_ONCE)
    left = await lead.read(
        partial(_to_clean, run=run, condition=condition, retention=lead.retention, now=lead.now())
    )

    async def one(epic: Any) -> str:
        async with at_once:
            return await _clean_epic(lead, EpicName(run.run, epic.epic), epic)

    return [problem for problem in await asyncio.gather(*map(one, left)) if problem]


async def _clean_epic(lead: Lead, name: EpicName, epic: Any) -> str:
    """Returns why it could not be done; empty if it was."""
    await tear_down(lead, name, epic)
    try:
        worker = lead.workers.get(epic.worker)
        if not epic.due:
            release = pb.ReleaseLeaseRequest(epic=str(name), epoch=lead.epoch)
            await call(worker.name, worker.worktree.ReleaseLease, release, _REMOVE_TIMEOUT)
            await lead.write(partial(_released, epic=name, path=epic.worktree_path), str(name.parent))
            return ""
        request = pb.RemoveWorktreeRequest(project=epic.project, epic=str(name), epoch=lead.epoch)
        done = await call(worker.name, worker.worktree.RemoveWorktree, request, _REMOVE_TIMEOUT)
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        log.warning("worktree_not_removed", epic=str(name), path=epic.worktree_path, error=error.message)
        return f"{name}: {error.message}"
    removed = pb.WorktreeRemoved(path=epic.worktree_path, archive_commit=done.archive_commit)
    told = event(name, f"worker:{epic.worker}", worktree_removed=removed)
    await lead.write(partial(_removed, epic=name, told=told, now=lead.now()), str(name.parent))
    return ""


def _has_work(retention: Retention, now: int) -> sa.ColumnElement[bool]:
    """Returns the condition on epics of a run that has ended, or ends now."""
    # Without a lease it was torn down before.
    there = sa.or_(epics.c.lease.is_not(None), retention.is_due(now))
    return sa.or_(_UNTOLD, sa.and_(epics.c.worktree_path != "", there))


def _to_clean(
    connection: sa.Connection,
    run: RunName,
    condition: sa.ColumnElement[bool],
    retention: Retention,
    now: int,
) -> list[sa.Row[Any]]:
    chosen = (
        sa.select(
            runs.c.project,
            runs.c.worker,
            runs.c.project_file,
            epics.c.epic,
            epics.c.worktree_path,
            epics.c.lease,
            sa.or_(_UNTOLD, retention.is_due(now)).label("due"),
        )
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.run == run.run, condition, _has_work(retention, now))
        .order_by(epics.c.place)
    )
    return list(connection.execute(chosen))


def _released(connection: sa.Connection, epic: EpicName, path: str) -> None:
    """Notes that a worktree which stays was torn down: setup must run there before it is worked in again."""
    change = sa.update(epics).where(*is_epic(epic), epics.c.worktree_path == path)
    connection.execute(change.values(lease=None, set_up=""))


def _removed(connection: sa.Connection, epic: EpicName, told: pb.Event, now: int) -> None:
    path, archived = told.worktree_removed.path, told.worktree_removed.archive_commit
    new = sa.update(epics).where(*is_epic(epic), epics.c.archive_commit != archived)
    connection.execute(new.values(archive_commit=archived, archived_at=now))
    change = sa.update(epics).where(*is_epic(epic), epics.c.worktree_path == path)
    gone = change.values(worktree_path="", lease=None, restored_at=None)
    if path and connection.execute(gone).rowcount:
        append(connection, [told], now)
