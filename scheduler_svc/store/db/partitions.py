"""The tables that PostgreSQL divides by day, so that old rows go with their whole partition.

The events of runs and sessions and the audit log have there one more column, `day`, the UTC date on which a row was
written; the database fills it in. Rows of before the division are in one partition, `…_before`. Rows for which
there is no partition are in `…_default`. SQLite has the same tables without the column.
"""

from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from scheduler_svc.store.db.engine import is_sqlite
from scheduler_svc.store.db.tables import attempts, audit, run_events, runs, session_chunks

TABLES: Final = (run_events.name, session_chunks.name, audit.name)

# Days for which there are partitions ahead of time. The leader makes more every hour.
_AHEAD: Final = 7

_DAY: Final = 86_400_000_000

# The database's clock fills in the day; the clock of a replica may differ a little.
_SKEW: Final = 1

_EXISTING: Final = sa.text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = CAST(:parent AS regclass)"
)
# Whoever waits for the lock of a table also makes all others wait behind it.
_IMPATIENT: Final = sa.text("SET LOCAL lock_timeout = '2s'")
_TODAY: Final = sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")


class Partition(NamedTuple):
    """One day of one table, or everything before a day."""

    table: str
    name: str
    # None: without a beginning.
    first: date | None
    # The first day after it.
    end: date


def ensure(connection: sa.Connection) -> None:
    """Makes the partitions of today and of the next days, where they are missing. PostgreSQL only.

    Raises OperationalError soon if a table is in use for long; nothing is lost until the days that exist are over.
    """
    connection.execute(_IMPATIENT)
    today: date = connection.execute(_TODAY).scalar_one()
    for table in TABLES:
        existing = set(connection.execute(_EXISTING, {"parent": table}).scalars())
        for ahead in range(_AHEAD + 1):
            day = today + timedelta(days=ahead)
            if _name(table, day) not in existing:
                _create(connection, table, day)


def _create(connection: sa.Connection, table: str, day: date) -> None:
    end = day + timedelta(days=1)
    bounds = f"FROM ('{day}') TO ('{end}')"
    # Not while rows of that day are in the default partition: they would have to be moved.
    late = sa.text(f"SELECT 1 FROM {table}_default WHERE day = '{day}' LIMIT 1")  # noqa: S608 (a constant and a date)
    if not connection.execute(late).all():
        connection.execute(
            sa.text(f"CREATE TABLE {_name(table, day)} PARTITION OF {table} FOR VALUES {bounds}")
        )


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def existing(connection: sa.Connection, table: str) -> list[Partition]:
    """Returns the partitions of a table except the default one, the oldest first. PostgreSQL only."""
    found = []
    for name in connection.execute(_EXISTING, {"parent": table}).scalars():
        kind, _, written = name.removeprefix(f"{table}_").rpartition("_")
        if not written.isdigit():
            continue
        day = date.fromisoformat(written)
        if kind == "before":
            found.append(Partition(table, name, None, day))
        elif not kind:
            found.append(Partition(table, name, day, day + timedelta(days=1)))
    return sorted(found, key=lambda each: each.end)


def unused(connection: sa.Connection, audit_before: int) -> list[Partition]:
    """Returns the partitions that nothing needs: all logs in them are expired. PostgreSQL only.

    Of the audit log, those with only entries from before `audit_before`, in microseconds.
    """
    today: date = connection.execute(_TODAY).scalar_one()
    found = []
    for table in TABLES:
        for each in existing(connection, table):
            if each.end >= today:
                continue
            if table == audit.name:
                needed = _micros(each.end) > audit_before
            else:
                needed = connection.execute(_kept(each).limit(1)).first() is not None
            if not needed:
                found.append(each)
    return found


def _kept(partition: Partition) -> sa.Select[Any]:
    """Selects the runs whose logs are kept and can be in the partition."""
    kept = sa.or_(
        runs.c.ended_at.is_(None),
        runs.c.logs_expired_at.is_(None),
        runs.c.logs_expired_at < runs.c.ended_at,
    )
    chosen = sa.select(runs.c.run).where(kept, runs.c.created_at < _micros(partition.end) + _SKEW * _DAY)
    if partition.first is not None:
        since = _micros(partition.first) - _SKEW * _DAY
        chosen = chosen.where(sa.or_(runs.c.ended_at.is_(None), runs.c.ended_at >= since))
    return chosen


def drop(connection: sa.Connection, partition: Partition) -> None:
    """Removes a partition with its rows; raises OperationalError soon if the table is in use."""
    connection.execute(_IMPATIENT)
    connection.execute(sa.text(f"DROP TABLE {partition.name}"))


def _micros(day: date) -> int:
    return (day - date(1970, 1, 1)).days * _DAY


def in_days_of_run(
    connection: sa.Connection, table: sa.Table, run: str
) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the condition that limits a query to the partitions of a run's lifetime."""
    return _in_days(connection, table, runs.c.created_at, runs.c.run == run)


def in_days_of_attempt(
    connection: sa.Connection, table: sa.Table, attempt: tuple[sa.ColumnElement[bool], ...]
) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the condition that limits a query to the partitions of an attempt's lifetime."""
    return _in_days(connection, table, attempts.c.started_at, *attempt)


def _in_days(
    connection: sa.Connection, table: sa.Table, begun: sa.Column[Any], *where: sa.ColumnElement[bool]
) -> tuple[sa.ColumnElement[bool], ...]:
    if is_sqlite(connection):
        return ()
    day: sa.ColumnClause[date] = sa.literal_column(f"{table.name}.day", sa.Date)
    return (day >= sa.select(_day(begun)).where(*where).scalar_subquery(),)


def _day(at: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.func.timezone("UTC", sa.func.to_timestamp(at / 1_000_000)), sa.Date) - _SKEW
