"""Adds holds of agents whose providers accept no work."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds holds of agents whose providers accept no work."""
    op.create_table(
        "holds",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
