"""Adds how a run merges, and which epics the operator wants merged."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds how a run merges, and which epics the operator wants merged."""
    op.add_column("runs", sa.Column("squash", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("epics", sa.Column("merge_wanted", sa.Boolean, nullable=False, server_default=sa.false()))
