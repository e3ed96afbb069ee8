"""Restores archived worktrees and removes old logs."""

from functools import partial
from typing import Any, Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName, WorktreeName
from scheduler_svc.commands.workers import worktree_list
from scheduler_svc.commands.workers.garbage import delete_sessions
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.home import Home
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.pools.workers import call
from scheduler_svc.store.db import partitions
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries import worktrees
from scheduler_svc.store.rows import epics
from scheduler_svc.store.rows.callers import audit, leader_requests
from scheduler_svc.store.rows.retention import log_retention

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_RESTORE_TIMEOUT: Final = 600.0

_DAY: Final = 86_400_000_000

# Microseconds for which the answer of the leader to a request stays available.
ANSWERS_KEPT: Final = _DAY

# Microseconds for which a repeated request_id returns the result of its first request.
RESULTS_KEPT: Final = 30 * _DAY

# Microseconds after which expired logs are removed even if others of their days are kept.
_LEFT_AFTER: Final = 2 * _DAY


def _restorable(connection: Connection, name: EpicName, asked: int) -> Any:
    """Returns the row of an epic whose worktree must be restored; raises NOT_FOUND or WRONG_STATE.

    None: a leader that died before it could answer has restored it since the request was `asked`.
    """
    row = worktrees.read_restorable(connection, name)
    if row.worktree_path:
        if (row.restored_at or 0) >= asked:
            return None
        raise HeddleError(
            pb.ERROR_REASON_WRONG_STATE,
            f"the worktree of {name} is there already: {row.worktree_path}",
            state="WORKTREE_THERE",
        )
    if not row.archive_commit:
        raise HeddleError(
            pb.ERROR_REASON_NOT_FOUND,
            f"nothing is archived of {name}: its worktree was removed clean, or never made",
            resource=str(name),
        )
    if row.ended_at is None:
        advice = "restore its worktrees when it has ended; until then agents may need their places"
        raise wrong_state(name.parent, pb.RunState.Name(row.state), advice)
    return row


async def restore(term: Term, name: WorktreeName, actor: str, asked: int) -> pb.RestoreEpicWorktreeResponse:
    """Has the worker restore an archived worktree, and records it; raises the errors of the RPC.

    Idempotent: runs once per request, which its time `asked` identifies.
    """
    row = await term.read(partial(_restorable, name=name.parent, asked=asked))
    if row is not None:
        await _restore(term, name.parent, row, actor)
    worktree = await worktree_list.get_worktree(term.read, term.workers, term.retention, name)
    return pb.RestoreEpicWorktreeResponse(worktree=worktree)


async def _restore(term: Term, epic: EpicName, row: Any, actor: str) -> None:
    request = pb.RestoreWorktreeRequest(
        project=Home(row.project, row.home).project_at(row.worker),
        epic=str(epic),
        epoch=term.epoch,
        project_file=pb.ProjectFile.FromString(row.project_file or b""),
    )
    worker = term.workers.get(row.worker)
    done = await call(worker.name, worker.worktree.RestoreWorktree, request, _RESTORE_TIMEOUT)
    told = pb.WorktreeRestored(path=done.worktree.path, archive_commit=done.archive_commit)
    note = partial(_restored, told=event(epic, actor, worktree_restored=told), epic=epic, now=term.now())
    await term.write("restored", note, str(epic.parent))


def _restored(connection: Connection, told: pb.Event, epic: EpicName, now: int) -> None:
    path = told.worktree_restored.path
    if epics.restore_worktree(connection, epic, path, now):
        append(connection, [told], now)


async def expire_logs(term: Term, run: RunName, *, at_once: bool) -> int:
    """Removes a run's logs, the spools of its sessions first; returns the size of the spools in bytes.

    Raises HeddleError and removes nothing if their worker is unreachable. Where the database divides its logs by
    day, rows are removed only if that must be `at_once`; otherwise they go with their days.
    """
    freed = await delete_sessions(term.read, term.workers, run, epoch=term.epoch)
    now = term.now()
    mark = partial(log_retention.mark_expired, run=run, before=now - term.retention.logs, now=now)
    if await term.write("mark_expired", mark) and (at_once or not term.divides_logs):
        await _prune(term, run)
    log.info("logs_removed", run=str(run), spool_bytes=freed)
    return freed


async def _prune(term: Term, run: RunName) -> None:
    while await term.maintain(partial(log_retention.prune_logs, run=run)):
        pass


async def forget_old(term: Term, *, at_once: bool) -> None:
    """Removes old audit entries, results of requests and copies of screenshots, and whole days of expired logs.

    `at_once` as above.
    """
    now = term.now()
    while await term.maintain(partial(log_retention.forget_results, before=now - RESULTS_KEPT)):
        pass
    await term.write("forget_requests", partial(leader_requests.forget_requests, before=now - ANSWERS_KEPT))
    while await term.maintain(log_retention.prune_artifacts):
        pass
    prune_audit = partial(audit.prune, before=now - term.retention.audit)
    if not term.divides_logs:
        while await term.write("prune_audit", prune_audit):
            pass
        return
    while at_once and await term.maintain(prune_audit):
        pass
    await term.maintain(partitions.ensure)
    for unused in await term.read(partial(partitions.unused, audit_before=now - term.retention.audit)):
        try:
            await term.maintain(partial(partitions.drop, partition=unused))
            log.info("partition_removed", name=unused.name)
        except HeddleError as error:
            # A backup may be reading it. The next time is in an hour.
            log.warning("partition_not_removed", name=unused.name, error=error.message)
    # Their days contain logs of other runs that are kept.
    left = partial(log_retention.expired_between, after=now - 2 * _LEFT_AFTER, before=now - _LEFT_AFTER)
    for run in await term.read(left):
        await _prune(term, run)
