"""Ends runs, and removes worktrees when they are due. Branches stay.

When a run ends, worktrees that no one needs to inspect are removed before run_finished, so
that run_finished is the last event of a successful run. The others are only torn down then, and
removed once their retention has expired.
"""

import asyncio
from functools import partial
from typing import Any, Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName, WorktreeName
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.workers import worktree_list
from scheduler_svc.leader.context.project_setup import tear_down
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.home import Home
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.policy.actions import FinishRun
from scheduler_svc.pools.workers import call
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries import worktrees
from scheduler_svc.store.rows import candidate_worktrees, epics

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_REMOVE_TIMEOUT: Final = 120.0

# Maximum number of worktrees that are torn down in parallel.
_AT_ONCE: Final = 4


async def finish_run(term: Term, action: FinishRun) -> None:
    """Cleans up after the run, then ends it unless part of it was reopened meanwhile."""
    await _clean(term, action.run, ended_only=False)
    await term.write("act", partial(act, action=action, now=term.now()), LOOP, str(action.run))


async def clean(term: Term, run: RunName) -> list[str]:
    """Tears down the worktrees of an ended run and removes those that are due, a few at a time.

    Returns and logs the reason for each worktree that could not be removed; the removal is retried every hour.
    """
    return await _clean(term, run, ended_only=True)


async def remove(term: Term, name: WorktreeName) -> pb.RemoveEpicWorktreeResponse:
    """Removes the worktree of an ended run's epic, if it has one; raises the errors of the RPC."""
    epic = name.parent
    row = await term.read(partial(worktrees.read_removable, name=epic))
    if row.ended_at is None:
        advice = "its agents may still need it; remove it when the run has ended"
        raise wrong_state(epic.parent, pb.RunState.Name(row.state), advice)
    for of_candidate in await term.read(partial(worktrees.of_candidates, name=epic)):
        if problem := await _clean_epic(term, EpicName(epic.run, of_candidate.epic), of_candidate):
            raise HeddleError(pb.ERROR_REASON_NO_WORKER, f"nothing was removed: {problem}")
    if row.worktree_path and (problem := await _clean_epic(term, epic, row)):
        raise HeddleError(pb.ERROR_REASON_NO_WORKER, f"nothing was removed: {problem}")
    worktree = await worktree_list.get_worktree(term.read, term.workers, term.retention, name)
    return pb.RemoveEpicWorktreeResponse(worktree=worktree)


async def _clean(term: Term, run: RunName, *, ended_only: bool) -> list[str]:
    at_once = asyncio.Semaphore(_AT_ONCE)
    left = await term.read(
        partial(worktrees.to_clean, run=run, retention=term.retention, now=term.now(), ended_only=ended_only)
    )

    async def one(epic: Any) -> str:
        async with at_once:
            return await _clean_epic(term, EpicName(run.run, epic.epic), epic)

    return [problem for problem in await asyncio.gather(*map(one, left)) if problem]


async def _clean_epic(term: Term, name: EpicName, epic: Any) -> str:
    """Cleans up one epic; returns the problem, empty on success."""
    if term.workers.is_removed(epic.worker, name):
        gone = pb.WorktreeRemoved(path=epic.worktree_path)
        told = event(name, f"worker:{epic.worker}", worktree_removed=gone)
        await term.write("removed", partial(_removed, epic=name, told=told, now=term.now()), str(name.parent))
        return ""
    await tear_down(term, name, epic)
    try:
        worker = term.workers.connected(epic.worker)
        if not epic.due:
            release = pb.ReleaseLeaseRequest(epic=str(name), epoch=term.epoch)
            await call(worker.name, worker.worktree.ReleaseLease, release, _REMOVE_TIMEOUT)
            released = partial(_released, epic=name, path=epic.worktree_path)
            await term.write("released", released, str(name.parent))
            return ""
        project = Home(epic.project, epic.home).project_at(epic.worker)
        request = pb.RemoveWorktreeRequest(project=project, epic=str(name), epoch=term.epoch)
        done = await call(worker.name, worker.worktree.RemoveWorktree, request, _REMOVE_TIMEOUT)
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        log.warning("worktree_not_removed", epic=str(name), path=epic.worktree_path, error=error.message)
        return f"{name}: {error.message}"
    removed = pb.WorktreeRemoved(path=epic.worktree_path, archive_commit=done.archive_commit)
    told = event(name.whole, f"worker:{epic.worker}", worktree_removed=removed)
    await term.write("removed", partial(_removed, epic=name, told=told, now=term.now()), str(name.parent))
    return ""


def _released(connection: Connection, epic: EpicName, path: str) -> None:
    if epic.candidate:
        candidate_worktrees.change(connection, epic, lease=None, set_up="")
    else:
        epics.release_worktree(connection, epic, path)


def _removed(connection: Connection, epic: EpicName, told: pb.Event, now: int) -> None:
    path, archived = told.worktree_removed.path, told.worktree_removed.archive_commit
    if epic.candidate:
        candidate_worktrees.remove(connection, epic)
    elif epics.remove_worktree(connection, epic, path, archived, now):
        append(connection, [told], now)
