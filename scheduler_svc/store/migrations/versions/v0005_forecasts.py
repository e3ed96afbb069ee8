"""Adds the newest conflict forecast and the base branch of a run."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the newest conflict forecast and the base branch of a run."""
    op.create_table(
        "forecasts",
        sa.Column("run", sa.Text, sa.ForeignKey("runs.run"), primary_key=True),
        sa.Column("forecast", sa.LargeBinary, nullable=False),
    )
    op.add_column("runs", sa.Column("base_branch", sa.Text, nullable=False, server_default=""))
