"""Adds the copies of screenshots that were on workers, and to runs what of their plans has no effect."""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0056"

_ATTEMPT = ("run", "epic", "task", "number")


def upgrade() -> None:
    """Adds the table and the column."""
    op.add_column("runs", sa.Column("remark", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "artifacts",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("run", "epic", "task")),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("artifact", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(_ATTEMPT, [f"attempts.{name}" for name in _ATTEMPT]),
    )
