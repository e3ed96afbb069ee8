"""Agents whose providers want to be left alone."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Agents whose providers want to be left alone."""
    op.create_table(
        "holds",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
