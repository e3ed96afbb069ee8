"""Adds to epics their last move to another worker, and what place they wait for."""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0052"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("epics", sa.Column("last_move", sa.LargeBinary))
    op.add_column("epics", sa.Column("waits_for", sa.Text, nullable=False, server_default=""))
