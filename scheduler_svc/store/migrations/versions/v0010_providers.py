"""Changes holds from agents to providers; holds become longer while a provider stays busy."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Changes holds from agents to providers; holds become longer while a provider stays busy."""
    # Existing holds are stored under names of agents. They end within minutes and would match no provider.
    op.drop_table("holds")
    op.create_table(
        "holds",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False, server_default="0"),
    )
