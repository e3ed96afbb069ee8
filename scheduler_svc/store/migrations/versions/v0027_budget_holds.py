"""Adds which used-up budget keeps an epic from continuing."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Adds which used-up budget keeps an epic from continuing."""
    op.add_column("epics", sa.Column("budget_hold", sa.LargeBinary))
