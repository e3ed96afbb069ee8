"""Adds to runs when their old refs were removed from the remote of their project."""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0060"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("runs", sa.Column("remote_refs_removed_at", sa.BigInteger))
