"""Adds a session's reserved share of its budgets, and the cost of its most expensive turn."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds a session's reserved share of its budgets, and the cost of its most expensive turn."""
    op.add_column("attempts", sa.Column("share_micros", sa.BigInteger))
    op.add_column("attempts", sa.Column("turn_micros", sa.BigInteger, nullable=False, server_default="0"))
