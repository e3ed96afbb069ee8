"""Finds, measures and removes old rows: expired logs of ended runs, and results of requests.

On SQLite, the writer removes a part at a time. On PostgreSQL, rows go with the partition of their day (`partitions`),
and what must be removed row by row is removed on a connection of its own, so that no write waits for it.
"""

from typing import Final

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.store.db.engine import is_sqlite
from scheduler_svc.store.db.partitions import in_days_of_run
from scheduler_svc.store.db.tables import artifacts, attempts, requests, run_events, runs, session_chunks

# Maximum number of rows per transaction on SQLite, because all writes share one writer.
_AT_ONCE: Final = 500

# The same for screenshots, which have up to 16 MiB each.
_ARTIFACTS_AT_ONCE: Final = 20

_LOGS: Final = (run_events, session_chunks)

# The run has ended, and its logs are kept.
_IS_KEPT: Final = sa.and_(
    runs.c.ended_at.is_not(None),
    sa.or_(runs.c.logs_expired_at.is_(None), runs.c.logs_expired_at < runs.c.ended_at),
)


def expired(connection: sa.Connection, before: int) -> list[RunName]:
    """Returns the runs that ended by a given time and whose logs are still kept, oldest first."""
    chosen = sa.select(runs.c.run).where(runs.c.ended_at <= before, _IS_KEPT)
    return [RunName(run) for run in connection.execute(chosen.order_by(runs.c.ended_at)).scalars()]


def expired_between(connection: sa.Connection, after: int, before: int) -> list[RunName]:
    """Returns the ended runs whose logs expired after one time and by another."""
    chosen = sa.select(runs.c.run).where(
        runs.c.ended_at.is_not(None),
        ~_IS_KEPT,
        runs.c.logs_expired_at > after,
        runs.c.logs_expired_at <= before,
    )
    return [RunName(run) for run in connection.execute(chosen).scalars()]


def weigh(connection: sa.Connection, run: RunName) -> pb.ExpiredLogs:
    """Returns the size of a run's logs in the database."""
    size = 0
    for column in (run_events.c.event, session_chunks.c.events):
        total = sa.select(sa.func.sum(sa.func.length(column))).where(*_of(connection, column.table, run))
        size += connection.execute(total).scalar_one() or 0
    copies = sa.select(sa.func.sum(artifacts.c.size)).where(artifacts.c.run == run.run)
    size += int(connection.execute(copies).scalar_one() or 0)
    return pb.ExpiredLogs(
        run=str(run), database_bytes=size, sessions=sum(map(len, sessions_of(connection, run).values()))
    )


def sessions_of(connection: sa.Connection, run: RunName) -> dict[str, list[AttemptName]]:
    """Returns the attempts of a run, by worker."""
    key = (attempts.c.worker, attempts.c.run, attempts.c.epic, attempts.c.task, attempts.c.number)
    found: dict[str, list[AttemptName]] = {}
    for worker, *name in connection.execute(sa.select(*key).where(attempts.c.run == run.run)):
        found.setdefault(worker, []).append(AttemptName(*name))
    return found


def mark_expired(connection: sa.Connection, run: RunName, before: int, now: int) -> bool:
    """Records that a run's logs are no longer kept; returns False and does nothing if the run was reopened."""
    change = sa.update(runs).where(runs.c.run == run.run, runs.c.ended_at <= before)
    return bool(connection.execute(change.values(logs_expired_at=now)).rowcount)


def prune_logs(connection: sa.Connection, run: RunName) -> bool:
    """Removes rows of a run's expired logs, the oldest of each log first; returns whether more may be left.

    On PostgreSQL, removes all of them. Removes nothing if the logs are kept, because the run was reopened.
    """
    kept = sa.select(runs.c.run).where(runs.c.run == run.run, sa.or_(runs.c.ended_at.is_(None), _IS_KEPT))
    if connection.execute(kept).one_or_none() is not None:
        return False
    if not is_sqlite(connection):
        for table in _LOGS:
            connection.execute(sa.delete(table).where(*_of(connection, table, run)))
        return False
    return any(_prune(connection, table, run) for table in _LOGS)


def _of(connection: sa.Connection, table: sa.Table, run: RunName) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.run == run.run, *in_days_of_run(connection, table, run.run))


def _prune(connection: sa.Connection, table: sa.Table, run: RunName) -> bool:
    return _delete_some(connection, table, table.c.run == run.run)


def _delete_some(
    connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool], most: int = _AT_ONCE
) -> bool:
    """Removes the first rows by key that meet a condition; returns whether there were any."""
    key = list(table.primary_key.columns)
    some = sa.select(*key).where(*where).order_by(*key).limit(most)
    chosen = sa.tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
    return bool(connection.execute(sa.delete(table).where(chosen)).rowcount)


def prune_artifacts(connection: sa.Connection) -> bool:
    """Removes copies of screenshots of runs whose logs have expired; returns whether more may be left.

    They are not divided by day, so all databases remove them row by row.
    """
    expired_runs = sa.select(runs.c.run).where(runs.c.ended_at.is_not(None), ~_IS_KEPT)
    return _delete_some(connection, artifacts, artifacts.c.run.in_(expired_runs), most=_ARTIFACTS_AT_ONCE)


def forget_results(connection: sa.Connection, before: int) -> bool:
    """Removes results of requests from before a time; returns whether more may be left."""
    return _delete_some(connection, requests, requests.c.created_at < before)
