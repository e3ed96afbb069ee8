"""Adds the attempt whose session the operator wants resumed."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Adds the attempt whose session the operator wants resumed."""
    op.add_column("tasks", sa.Column("resume_from", sa.Integer))
