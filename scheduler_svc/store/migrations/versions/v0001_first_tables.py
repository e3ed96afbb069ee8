"""Creates the first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the first tables."""
    op.create_table(
        "runs",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("base_ref", sa.Text, nullable=False),
        sa.Column("base_commit", sa.Text, nullable=False),
        sa.Column("merge_into", sa.Text, nullable=False),
        sa.Column("merge_state", sa.Integer, nullable=False, server_default="0"),
        sa.Column("head_commit", sa.Text, nullable=False, server_default=""),
        sa.Column("max_parallel", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("plan", sa.LargeBinary, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("runs_by_age", "runs", ["created_at", "run"])
    op.create_index("runs_by_end", "runs", ["ended_at"])
    op.create_table(
        "epics",
        sa.Column("run", sa.Text, sa.ForeignKey("runs.run"), primary_key=True),
        sa.Column("epic", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("on_failure", sa.Integer, nullable=False),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.Column("worktree_path", sa.Text, nullable=False, server_default=""),
        sa.Column("start_commit", sa.Text, nullable=False, server_default=""),
        sa.Column("head_commit", sa.Text, nullable=False, server_default=""),
        sa.Column("merge_state", sa.Integer, nullable=False, server_default="0"),
        sa.Column("merge_commit", sa.Text, nullable=False, server_default=""),
        sa.Column("conflict", sa.LargeBinary),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_table(
        "tasks",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("epic", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("estimate", sa.Float),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("commit_id", sa.Text, nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["run", "epic"], ["epics.run", "epics.epic"]),
    )
    op.create_table(
        "attempts",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("epic", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("stop_reason", sa.Text),
        sa.Column("session_sequence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("session_result", sa.LargeBinary),
        sa.Column("summary", sa.LargeBinary, nullable=False),
        sa.Column("usage", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["run", "epic", "task"], ["tasks.run", "tasks.epic", "tasks.task"]),
    )
    op.create_index("attempts_by_end", "attempts", ["ended_at"])
    op.create_table(
        "run_events",
        sa.Column("run", sa.Text, sa.ForeignKey("runs.run"), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("event", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "session_chunks",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("epic", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("first_sequence", sa.BigInteger, primary_key=True),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("events", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(
            ["run", "epic", "task", "number"],
            ["attempts.run", "attempts.epic", "attempts.task", "attempts.number"],
        ),
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leadership",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO leadership (id, epoch) VALUES (1, 0)")
