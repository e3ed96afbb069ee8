"""Marks tasks in which an agent resolves a conflict."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Marks tasks in which an agent resolves a conflict."""
    op.add_column("tasks", sa.Column("resolves", sa.Boolean, nullable=False, server_default=sa.false()))
