"""Adds details to entries of the audit log, such as how long a terminal was open, and who drained a worker."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0050"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("audit", sa.Column("detail", sa.Text, nullable=False, server_default=""))
    op.add_column("workers", sa.Column("drained_by", sa.Text, nullable=False, server_default=""))
    op.add_column("workers", sa.Column("drained_at", sa.BigInteger))
