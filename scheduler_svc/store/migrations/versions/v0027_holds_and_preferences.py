"""Adds which used-up budget keeps an epic from continuing, and what people chose for the web app."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Adds which used-up budget keeps an epic from continuing, and what people chose for the web app."""
    op.add_column("epics", sa.Column("budget_hold", sa.LargeBinary))
    op.create_table(
        "preferences",
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
