"""What of the budgets is reserved for a session, and what its dearest turn has cost."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """What of the budgets is reserved for a session, and what its dearest turn has cost."""
    op.add_column("attempts", sa.Column("share_micros", sa.BigInteger))
    op.add_column("attempts", sa.Column("turn_micros", sa.BigInteger, nullable=False, server_default="0"))
