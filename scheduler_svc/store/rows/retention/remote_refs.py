"""Finds ended runs whose epics have left refs at the remote of their project, and records that those are removed."""

from typing import NamedTuple

import sqlalchemy as sa

from heddle.names import RunName
from scheduler_svc.store.db.tables import epics, runs
from scheduler_svc.store.rows import epics as epic_rows

# Old refs may be at the remote of the run's project.
_LEFT = sa.and_(
    runs.c.ended_at.is_not(None),
    sa.or_(runs.c.remote_refs_removed_at.is_(None), runs.c.remote_refs_removed_at < runs.c.ended_at),
)


class OldRun(NamedTuple):
    """A run whose epics had places, and when it ended."""

    name: RunName
    project: str
    home: str
    ended_at: int


def old_runs(connection: sa.Connection, before: int) -> list[OldRun]:
    """Returns the runs on URLs that ended by a given time and may have refs at the remote, by project, oldest first."""
    placed = sa.exists().where(epics.c.run == runs.c.run, epics.c.generation > 0)
    chosen = (
        sa.select(runs.c.run, runs.c.project, runs.c.worker, runs.c.ended_at)
        .where(_LEFT, runs.c.ended_at <= before, sa.not_(runs.c.served), placed)
        .order_by(runs.c.project, runs.c.ended_at, runs.c.run)
    )
    return [OldRun(RunName(run), *rest) for run, *rest in connection.execute(chosen)]


def leave_claims(connection: sa.Connection, run: OldRun) -> bool:
    """Has each epic of the run take its claim again if it ever continues; returns False if the run was reopened."""
    has_ended = sa.select(runs.c.run).where(runs.c.run == run.name.run, runs.c.ended_at == run.ended_at)
    if connection.execute(has_ended).one_or_none() is None:
        return False
    epic_rows.leave_claims(connection, run.name)
    return True


def mark_removed(connection: sa.Connection, run: OldRun, now: int) -> None:
    """Records that the run has no refs left to remove, unless it was reopened."""
    change = sa.update(runs).where(runs.c.run == run.name.run, runs.c.ended_at == run.ended_at)
    connection.execute(change.values(remote_refs_removed_at=now))
