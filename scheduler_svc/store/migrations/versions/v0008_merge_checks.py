"""What must pass on a merged tree, and the last tree on which it did."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """What must pass on a merged tree, and the last tree on which it did."""
    op.add_column("runs", sa.Column("merge_checks", sa.LargeBinary))
    op.add_column("runs", sa.Column("tested_tree", sa.Text, nullable=False, server_default=""))
