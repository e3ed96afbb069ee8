"""Adds to epics the worker that is their place and the number of that place, and to tasks their agents."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0036"


def upgrade() -> None:
    """Adds the columns. Epics that have started stay where their run is."""
    op.add_column("epics", sa.Column("worker", sa.Text, nullable=False, server_default=""))
    op.add_column("tasks", sa.Column("agents", sa.Text, nullable=False, server_default=""))
    op.add_column("epics", sa.Column("generation", sa.Integer, nullable=False, server_default="0"))
