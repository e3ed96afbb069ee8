"""Finds, measures and removes expired logs of ended runs, a part at a time."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.store.db.tables import attempts, run_events, runs, session_chunks

# Maximum number of rows per transaction, because all writes share one writer.
_AT_ONCE: Final = 500


def expired(connection: sa.Connection, before: int) -> list[RunName]:
    """Returns the runs that ended by a given time and still have logs, oldest first."""
    logs = (
        sa.select(table.c.run).where(table.c.run == runs.c.run).exists()
        for table in (run_events, session_chunks)
    )
    chosen = sa.select(runs.c.run).where(runs.c.ended_at <= before, sa.or_(*logs))
    return [RunName(run) for run in connection.execute(chosen.order_by(runs.c.ended_at)).scalars()]


def weigh(connection: sa.Connection, run: RunName) -> pb.ExpiredLogs:
    """Returns the size of a run's logs in the database."""
    size = 0
    for column in (run_events.c.event, session_chunks.c.events):
        total = sa.select(sa.func.sum(sa.func.length(column))).where(column.table.c.run == run.run)
        size += connection.execute(total).scalar_one() or 0
    return pb.ExpiredLogs(run=str(run), database_bytes=size, sessions=len(sessions_of(connection, run)))


def sessions_of(connection: sa.Connection, run: RunName) -> Sequence[AttemptName]:
    """Returns the attempts of a run."""
    key = (attempts.c.run, attempts.c.epic, attempts.c.task, attempts.c.number)
    return [AttemptName(*row) for row in connection.execute(sa.select(*key).where(attempts.c.run == run.run))]


def prune_logs(connection: sa.Connection, run: RunName, before: int) -> bool:
    """Removes some of a run's events, the oldest of each log first; returns whether more may be left.

    Removes nothing if the run was reopened.
    """
    ended = sa.select(runs.c.run).where(runs.c.run == run.run, runs.c.ended_at <= before)
    if connection.execute(ended).one_or_none() is None:
        return False
    oldest = sa.select(sa.func.min(run_events.c.sequence)).where(run_events.c.run == run.run)
    first = connection.execute(oldest).scalar_one()
    if first is not None:
        some = (run_events.c.run == run.run, run_events.c.sequence < first + _AT_ONCE)
        connection.execute(sa.delete(run_events).where(*some))
        return True
    key = list(session_chunks.primary_key.columns)
    chunks = connection.execute(
        sa.select(*key).where(session_chunks.c.run == run.run).order_by(*key).limit(_AT_ONCE)
    ).all()
    for chunk in chunks:
        same = (column == value for column, value in zip(key, chunk, strict=True))
        connection.execute(sa.delete(session_chunks).where(*same))
    return bool(chunks)
