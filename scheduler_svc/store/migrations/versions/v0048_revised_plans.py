"""Adds drafts that change an existing plan, the requests of drafts, and the drafts that plans of runs come from."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0044"


def upgrade() -> None:
    """Adds the columns and the table."""
    op.add_column("runs", sa.Column("revises", sa.Text, nullable=False, server_default=""))
    op.add_column("plans", sa.Column("draft", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "draft_requests",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.run"]),
    )
