"""Adds drafts of plans: the runs that make them, and what their agents hand over."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0031"


def upgrade() -> None:
    """Adds the column and the table."""
    op.add_column("runs", sa.Column("draft", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "drafts",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("draft", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.run"]),
    )
