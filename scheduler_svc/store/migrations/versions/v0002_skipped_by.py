"""Adds the operator who skipped a task."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the operator who skipped a task."""
    op.add_column("tasks", sa.Column("skipped_by", sa.Text, nullable=False, server_default=""))
