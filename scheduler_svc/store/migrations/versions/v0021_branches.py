"""Adds what the base branch lacked when a run was created, and why merges wait."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0019"


def upgrade() -> None:
    """Adds what the base branch lacked when a run was created, and why merges wait."""
    op.add_column("runs", sa.Column("base_behind", sa.LargeBinary))
    for table in ("runs", "epics"):
        op.add_column(table, sa.Column("merge_hold", sa.Text, nullable=False, server_default=""))
