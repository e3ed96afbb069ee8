"""Adds the causes of holds, holds until the operator lifts them, and delays after immediate failures."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0015"

_RATE_LIMITED = "10"


def upgrade() -> None:
    """Adds data on providers to holds, tasks and paused runs."""
    op.add_column("holds", sa.Column("needs_operator", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("holds", sa.Column("cause", sa.Integer, nullable=False, server_default=_RATE_LIMITED))
    op.add_column("holds", sa.Column("reason", sa.Text, nullable=False, server_default=""))
    op.add_column("holds", sa.Column("created_at", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("held_by", sa.Text, nullable=False, server_default=""))
    op.add_column("tasks", sa.Column("quick_failures", sa.Integer, nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("outages", sa.Integer, nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("start_after", sa.BigInteger, nullable=False, server_default="0"))
