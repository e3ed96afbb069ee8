"""Pushes again what the remote of a run's project did not take, when the operator asks for it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import RunName
from scheduler_svc.pools.workers import Workers, call
from scheduler_svc.store.db.database import Database, Work
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.tables import runs
from scheduler_svc.store.rows.unpushed_branches import note_pushes, unpushed

# Seconds.
_TIMEOUT: Final = 600.0


async def push_run(database: Database, workers: Workers, name: RunName, actor: str, now: int) -> Work[None]:
    """Pushes the branches; returns what writes down how that went. Raises NOT_FOUND, NO_WORKER or what git says."""
    row = await database.read(partial(_read, name=name))
    branches = sorted(unpushed(row.unpushed))
    refused: Mapping[str, str] = {}
    if branches:
        worker = workers.get(row.worker)
        request = pb.PushBranchesRequest(project=row.project, branches=branches)
        refused = (await call(worker.name, worker.worktree.PushBranches, request, _TIMEOUT)).errors
    return partial(_record, name=name, branches=branches, refused=dict(refused), actor=actor, now=now)


def _read(connection: sa.Connection, name: RunName) -> Any:
    chosen = sa.select(runs.c.worker, runs.c.project, runs.c.unpushed).where(runs.c.run == name.run)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise not_found(name)
    return row


def _record(
    connection: sa.Connection,
    name: RunName,
    branches: Sequence[str],
    refused: Mapping[str, str],
    *,
    actor: str,
    now: int,
) -> None:
    note_pushes(connection, name, [branch for branch in branches if branch not in refused], refused)
    failed = [pb.PushFailed(branch=branch, error=error) for branch, error in refused.items()]
    append(connection, [event(name, actor, push_failed=each) for each in failed], now)
    row = connection.execute(sa.select(runs.c.merge_into).where(runs.c.run == name.run)).one()
    result = row.merge_into or name.branch
    if result in branches and result not in refused:
        # Judged again: it may have failed for nothing else.
        again = sa.update(runs).where(runs.c.run == name.run, runs.c.state == pb.RUN_STATE_FAILED)
        values = {"state": pb.RUN_STATE_RUNNING, "reason": "", "ended_at": None}
        if connection.execute(again.values(**values)).rowcount:
            append(connection, [event(name, actor, run_resumed=pb.RunResumed())], now)
