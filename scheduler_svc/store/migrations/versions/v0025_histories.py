"""Divides logs by day on PostgreSQL, adds running totals of usage, and indexes for every list."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from heddle import pb
from scheduler_svc.model.sessions.usage import total

revision = "0025"
down_revision = "0023"

_KEYS = {
    "run_events": ("run", "sequence"),
    "session_chunks": ("run", "epic", "task", "number", "first_sequence"),
    "audit": ("sequence",),
}

# Days for which partitions are made; the scheduler makes more.
_AHEAD = 8


def upgrade() -> None:
    """Adds totals and indexes, and divides the logs."""
    op.add_column("runs", sa.Column("logs_expired_at", sa.BigInteger))
    for table in ("runs", "epics"):
        op.add_column(table, sa.Column("usage", sa.LargeBinary))
    op.create_table(
        "project_totals",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("cost_micros", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("accepted_micros", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("accepted_count", sa.BigInteger, nullable=False, server_default="0"),
    )
    fill_totals(op.get_bind())
    # The logs of these have been removed.
    op.execute(
        "UPDATE runs SET logs_expired_at = ended_at WHERE ended_at IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM run_events e WHERE e.run = runs.run)"
        " AND NOT EXISTS (SELECT 1 FROM session_chunks c WHERE c.run = runs.run)"
    )
    _add_indexes()
    if op.get_bind().dialect.name == "postgresql":
        for table, key in _KEYS.items():
            _divide(table, key)
    op.create_index("audit_by_user", "audit", ["user", "sequence"])


def _add_indexes() -> None:
    op.create_index("runs_by_project", "runs", ["project", "created_at", "run"])
    op.create_index("tasks_by_state", "tasks", ["run", "epic", "state", "unchanged"])
    waiting = sa.text("state = 3")
    op.create_index("tasks_waiting", "tasks", ["run"], postgresql_where=waiting, sqlite_where=waiting)
    live = sa.text("ended_at IS NULL")
    op.create_index("attempts_live", "attempts", ["run", "epic"], postgresql_where=live, sqlite_where=live)
    op.create_index("requests_by_age", "requests", ["created_at"])
    op.create_index("errands_by_end", "errands", ["ended_at"])


def fill_totals(connection: sa.Connection) -> None:
    """Sums what the attempts that have ended have used, by epic, run and project."""
    names = ("run", "epic", "usage", "cost_micros", "state", "ended_at")
    attempts: Any = sa.table("attempts", *(sa.column(name) for name in names))
    runs: Any = sa.table("runs", sa.column("run"), sa.column("project"), sa.column("usage"))
    epics: Any = sa.table("epics", sa.column("run"), sa.column("epic"), sa.column("usage"))
    chosen = (
        sa.select(attempts.c.run, attempts.c.epic, attempts.c.usage)
        .where(attempts.c.ended_at.is_not(None), attempts.c.usage != b"")
        .order_by(attempts.c.run, attempts.c.epic)
    )
    rows = iter(connection.execute(chosen).all())
    for run, of_run in groupby(rows, lambda row: row.run):
        sums = []
        for epic, of_epic in groupby(of_run, lambda row: row.epic):
            sums.append(total(pb.UsageTotals.FromString(row.usage) for row in of_epic))
            change = sa.update(epics).where(epics.c.run == run, epics.c.epic == epic)
            connection.execute(change.values(usage=sums[-1].SerializeToString()))
        change = sa.update(runs).where(runs.c.run == run)
        connection.execute(change.values(usage=total(sums).SerializeToString()))
    cost, is_accepted = attempts.c.cost_micros, attempts.c.state == pb.ATTEMPT_STATE_ACCEPTED
    by_project = (
        sa.select(
            runs.c.project,
            sa.func.sum(cost),
            sa.func.sum(sa.case((is_accepted, cost), else_=0)),
            sa.func.sum(sa.case((is_accepted, 1), else_=0)),
        )
        .join(attempts, attempts.c.run == runs.c.run)
        .where(attempts.c.ended_at.is_not(None), cost > 0)
        .group_by(runs.c.project)
    )
    columns = ("project", "cost_micros", "accepted_micros", "accepted_count")
    totals = sa.table("project_totals", *(sa.column(name) for name in columns))
    sums_of = [dict(zip(columns, row, strict=True)) for row in connection.execute(by_project)]
    if sums_of:
        connection.execute(sa.insert(totals), sums_of)


def _divide(table: str, key: Sequence[str]) -> None:
    """Makes the existing table the partition of everything before today, without copying its rows."""
    for statement in _division(table, key):
        op.execute(statement)


def _division(table: str, key: Sequence[str]) -> Iterator[str]:
    connection = op.get_bind()
    today = connection.execute(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    before = f"{table}_before_{today:%Y%m%d}"
    for constraint in sa.inspect(connection).get_foreign_keys(table):
        yield f'ALTER TABLE {table} DROP CONSTRAINT "{constraint["name"]}"'
    yield f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey"
    yield f"ALTER TABLE {table} RENAME TO {before}"
    yield f"ALTER TABLE {before} ADD COLUMN day date NOT NULL DEFAULT DATE '{today}' - 1"
    yield f"ALTER TABLE {before} ADD PRIMARY KEY ({', '.join(key)}, day)"
    yield f"CREATE TABLE {table} (LIKE {before} INCLUDING DEFAULTS) PARTITION BY RANGE (day)"
    yield f"ALTER TABLE {table} ALTER COLUMN day SET DEFAULT (now() AT TIME ZONE 'UTC')::date"
    yield f"ALTER TABLE {table} ADD PRIMARY KEY ({', '.join(key)}, day)"
    if table == "audit":
        # It would otherwise be removed with the partition.
        yield "ALTER SEQUENCE audit_sequence_seq OWNED BY audit.sequence"
    yield f"ALTER TABLE {table} ATTACH PARTITION {before} FOR VALUES FROM (MINVALUE) TO ('{today}')"
    yield f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT"
    days = connection.execute(
        sa.text("SELECT CAST(:today AS date) + n FROM generate_series(0, :ahead) AS n"),
        {"today": today, "ahead": _AHEAD},
    ).scalars()
    for first, end in zip(all_days := list(days), all_days[1:], strict=False):
        yield f"CREATE TABLE {table}_{first:%Y%m%d} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{end}')"
