"""Where epics go back to whose accepted tasks are done again."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Where epics go back to whose accepted tasks are done again."""
    op.add_column("epics", sa.Column("rewind_to", sa.Text, nullable=False, server_default=""))
