"""Adds a mark for accepted tasks that changed nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Adds a mark for accepted tasks that changed nothing."""
    column = sa.Column("unchanged", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("tasks", column)
