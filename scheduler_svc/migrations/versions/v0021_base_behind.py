"""What the base's branch lacked when a run was created."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0014"


def upgrade() -> None:
    """What the base's branch lacked when a run was created."""
    op.add_column("runs", sa.Column("base_behind", sa.LargeBinary))
