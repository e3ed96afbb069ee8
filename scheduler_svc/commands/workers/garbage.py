"""Finds worktrees and logs of ended runs that can be removed."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, RunName
from scheduler_svc.commands.workers import worktree_list
from scheduler_svc.commands.workers.worktree_list import Read
from scheduler_svc.pools.workers import Workers, call
from scheduler_svc.store.queries import worktrees
from scheduler_svc.store.rows.retention.log_retention import expired, sessions_of, weigh
from scheduler_svc.store.rows.retention.run_retention import Retention

# Seconds.
_DELETE_TIMEOUT: Final = 120.0

# Maximum number of sessions in one request to a worker.
_SESSIONS: Final = 500


async def find_garbage(
    read: Read, workers: Workers, retention: Retention, now: int
) -> pb.CollectGarbageResponse:
    """Returns the worktrees and logs that can be removed now."""
    rows = await read(partial(worktrees.read_due, retention=retention, now=now))
    garbage = pb.CollectGarbageResponse(worktrees=await worktree_list.describe(workers, retention, rows))
    for run in await read(partial(expired, before=now - retention.logs)):
        logs = await read(partial(weigh, run=run))
        try:
            logs.spool_bytes = await delete_sessions(read, workers, run, epoch=None)
        except HeddleError as error:
            garbage.problems.append(f"{run}: {error.message}")
        garbage.logs.append(logs)
    return garbage


async def delete_sessions(read: Read, workers: Workers, run: RunName, *, epoch: int | None) -> int:
    """Removes a run's sessions from its workers; returns their size in bytes. No epoch: removes nothing."""
    found = await read(partial(sessions_of, run=run))
    return sum([await _delete(workers, worker, names, epoch) for worker, names in found.items()])


async def _delete(workers: Workers, worker_name: str, names: Sequence[AttemptName], epoch: int | None) -> int:
    try:
        worker = workers.get(worker_name)
    except HeddleError:
        # The worker no longer exists, and neither do its sessions.
        return 0
    size = 0
    for first in range(0, len(names), _SESSIONS):
        request = pb.DeleteSessionsRequest(
            attempts=map(str, names[first : first + _SESSIONS]), epoch=epoch or 0, validate_only=epoch is None
        )
        done = await call(worker.name, worker.agent.DeleteSessions, request, _DELETE_TIMEOUT)
        size += done.disk_bytes
    return size
