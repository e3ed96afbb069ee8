"""Retries, on an operator's request, the push of branches that the project's remote refused."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from heddle import pb
from heddle.names import RunName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.pools.workers import Workers, call
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.writer import Work
from scheduler_svc.store.queries.records import run_row
from scheduler_svc.store.rows import runs
from scheduler_svc.store.rows.unpushed_branches import note_pushes, unpushed

# Seconds.
_TIMEOUT: Final = 600.0


async def push_run(database: Database, workers: Workers, name: RunName, actor: str, now: int) -> Work[None]:
    """Pushes the branches; returns the function that records the result.

    Raises NOT_FOUND, NO_WORKER or git's error.
    """
    row = await database.read(partial(run_row, name=name))
    branches = sorted(unpushed(row.unpushed))
    refused: Mapping[str, str] = {}
    if branches:
        worker = workers.get(row.worker)
        request = pb.PushBranchesRequest(project=row.project, branches=branches)
        refused = (await call(worker.name, worker.worktree.PushBranches, request, _TIMEOUT)).errors
    return partial(_record, name=name, branches=branches, refused=dict(refused), actor=actor, now=now)


def _record(
    connection: Connection,
    name: RunName,
    branches: Sequence[str],
    refused: Mapping[str, str],
    *,
    actor: str,
    now: int,
) -> None:
    note_pushes(connection, name, branches, refused)
    failed = [pb.PushFailed(branch=branch, error=error) for branch, error in refused.items()]
    append(connection, [event(name, actor, push_failed=each) for each in failed], now)
    result = run_row(connection, name).merge_into or name.branch
    pushed = result in branches and result not in refused
    # Re-evaluates the run: the refused push may be the only reason that it failed.
    if pushed and runs.try_to(connection, name, transitions.RUN_JUDGE_AGAIN):
        append(connection, [event(name, actor, run_resumed=pb.RunResumed())], now)
