"""Adds which worker a run waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Adds the column to runs."""
    op.add_column("runs", sa.Column("waits_for", sa.Text, nullable=False, server_default=""))
