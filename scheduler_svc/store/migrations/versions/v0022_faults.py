"""Adds what a run's environment lacks, and which branches its remote refused."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Adds what a run's environment lacks, and which branches its remote refused."""
    op.add_column("runs", sa.Column("fault", sa.Text, nullable=False, server_default=""))
    op.add_column("runs", sa.Column("unpushed", sa.LargeBinary))
