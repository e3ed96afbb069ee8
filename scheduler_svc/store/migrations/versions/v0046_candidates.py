"""Adds candidates: attempts at one task at the same time, with worktrees of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0044"


def upgrade() -> None:
    """Adds the columns and the table."""
    for name in ("candidates", "rounds", "chosen", "candidate"):
        op.add_column("tasks", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("score", sa.Float))
    # Counting tasks reads only the index.
    op.drop_index("tasks_by_state", "tasks")
    columns = ["run", "epic", "state", "unchanged", "candidate", "candidates"]
    op.create_index("tasks_by_state", "tasks", columns)
    op.create_table(
        "candidate_worktrees",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("epic", sa.Text, primary_key=True),
        sa.Column("candidate", sa.Integer, primary_key=True),
        sa.Column("worktree_path", sa.Text, nullable=False),
        sa.Column("lease", sa.LargeBinary),
        sa.Column("set_up", sa.Text, nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["run", "epic"], ["epics.run", "epics.epic"]),
    )
