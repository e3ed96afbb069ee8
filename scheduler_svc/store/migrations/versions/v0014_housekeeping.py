"""Adds archives of worktrees, and requests of replicas to the leader."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Adds archives of worktrees, and requests of replicas to the leader."""
    op.add_column("epics", sa.Column("archive_commit", sa.Text, nullable=False, server_default=""))
    op.add_column("epics", sa.Column("archived_at", sa.BigInteger))
    op.add_column("epics", sa.Column("restored_at", sa.BigInteger))
    op.create_table(
        "errands",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("error", sa.LargeBinary),
    )
