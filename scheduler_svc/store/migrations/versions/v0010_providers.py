"""Holds are of providers, and grow while a provider stays busy."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Holds are of providers, and grow while a provider stays busy."""
    # What is held now by an agent's name is over in minutes, and would hold no session.
    op.drop_table("holds")
    op.create_table(
        "holds",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False, server_default="0"),
    )
