"""Adds to runs whether their worker serves the repository of their project by path to other workers."""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0052"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("runs", sa.Column("served", sa.Boolean, nullable=False, server_default=sa.false()))
