"""Adds the plans that each run was given, the agent that replaces their default, and the needs of tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Adds the table and the columns. The plan of an existing run becomes its first one."""
    op.add_column("runs", sa.Column("agent", sa.Text, nullable=False, server_default=""))
    op.add_column("tasks", sa.Column("needs", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "plans",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("plan", sa.LargeBinary, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.run"]),
    )
    op.execute(
        "INSERT INTO plans (run, revision, plan, text, inputs, actor, created_at)"
        " SELECT run, 1, plan, '', '{}', creator, created_at FROM runs"
    )
