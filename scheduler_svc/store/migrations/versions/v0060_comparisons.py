"""Adds whether an agent compares the candidates of a task."""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0058"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("tasks", sa.Column("compares", sa.Boolean, nullable=False, server_default=sa.false()))
