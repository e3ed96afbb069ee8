"""Adds the checks of a merged tree, and the last tree on which they passed."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the checks of a merged tree, and the last tree on which they passed."""
    op.add_column("runs", sa.Column("merge_checks", sa.LargeBinary))
    op.add_column("runs", sa.Column("tested_tree", sa.Text, nullable=False, server_default=""))
