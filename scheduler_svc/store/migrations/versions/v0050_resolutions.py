"""Adds to tasks the resolution of a person with which their attempts start."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0048"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("tasks", sa.Column("resolution", sa.Text, nullable=False, server_default=""))
