"""Adds the creator of a run."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the creator of a run."""
    op.add_column("runs", sa.Column("creator", sa.Text, nullable=False, server_default=""))
