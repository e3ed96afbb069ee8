"""Adds what epics took in of the project's branch, and how far they are behind it."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0040"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("epics", sa.Column("sync_state", sa.Integer, nullable=False, server_default="0"))
    op.add_column("epics", sa.Column("sync", sa.LargeBinary))
    op.add_column("runs", sa.Column("base_state", sa.LargeBinary))
