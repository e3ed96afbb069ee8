"""Adds project files, leases, and the progress of setups."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds project files, leases, and the progress of setups."""
    op.add_column("runs", sa.Column("project_file", sa.LargeBinary))
    op.add_column("epics", sa.Column("lease", sa.LargeBinary))
    op.add_column("epics", sa.Column("set_up", sa.Text, nullable=False, server_default=""))
    op.add_column("epics", sa.Column("setup_failure", sa.Text, nullable=False, server_default=""))
