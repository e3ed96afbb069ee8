"""Adds to runs why their worker does not serve their project by path to other workers."""

import sqlalchemy as sa
from alembic import op

revision = "0064"
down_revision = "0062"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("runs", sa.Column("not_served", sa.Text, nullable=False, server_default=""))
