"""Adds budgets and the costs of attempts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from heddle import pb

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds budgets and the costs of attempts."""
    for table in ("runs", "epics", "tasks"):
        op.add_column(table, sa.Column("budget_micros", sa.BigInteger))
    op.add_column("attempts", sa.Column("cost_micros", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("counts", sa.Boolean, nullable=False, server_default=sa.true()))
    fill_costs(op.get_bind())


def fill_costs(connection: sa.Connection) -> None:
    """Copies the cost of each attempt from its usage into the new column."""
    keys: list[sa.ColumnClause[Any]] = [sa.column(name) for name in ("run", "epic", "task", "number")]
    attempts = sa.table("attempts", *keys, sa.column("usage"), sa.column("cost_micros"))
    for *values, usage in connection.execute(sa.select(*keys, attempts.c.usage).select_from(attempts)).all():
        cost = pb.UsageTotals.FromString(usage).cost_usd_micros
        this = (key == value for key, value in zip(keys, values, strict=True))
        connection.execute(sa.update(attempts).where(*this).values(cost_micros=cost))
