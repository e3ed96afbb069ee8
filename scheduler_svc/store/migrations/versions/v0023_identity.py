"""Adds who asked the leader for something."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Adds who asked the leader for something."""
    op.add_column("errands", sa.Column("actor", sa.Text, nullable=False, server_default="user"))
