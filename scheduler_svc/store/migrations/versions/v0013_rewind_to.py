"""Adds the revision to which an epic is reset when its accepted tasks are repeated."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Adds the revision to which an epic is reset when its accepted tasks are repeated."""
    op.add_column("epics", sa.Column("rewind_to", sa.Text, nullable=False, server_default=""))
