"""Adds to tasks which review of their work is next, and which of their attempts is accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0033"


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("tasks", sa.Column("review", sa.LargeBinary))
    op.add_column("tasks", sa.Column("accepted_attempt", sa.Integer))
