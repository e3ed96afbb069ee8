"""The tables of plans, drafts, forecasts and schedules; see tables.py for what all tables have in common."""

import sqlalchemy as sa

from scheduler_svc.store.db.tables import metadata

# The plans that a run was given, one after the other.
plans = sa.Table(
    "plans",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    # From 1.
    sa.Column("revision", sa.Integer, primary_key=True),
    # pb.Plan
    sa.Column("plan", sa.LargeBinary, nullable=False),
    # The file from which it was read. Empty: unknown.
    sa.Column("text", sa.Text, nullable=False),
    # A JSON object with the values of the inputs in the text.
    sa.Column("inputs", sa.Text, nullable=False),
    # The draft that it comes from. Empty: none.
    sa.Column("draft", sa.Text, nullable=False, server_default=""),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.ForeignKeyConstraint(["run"], ["runs.run"]),
)

# What the agents of drafts have handed over.
drafts = sa.Table(
    "drafts",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    # The attempt of its only task.
    sa.Column("number", sa.Integer, primary_key=True),
    # pb.Draft
    sa.Column("draft", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(["run"], ["runs.run"]),
)

forecasts = sa.Table(
    "forecasts",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    # pb.ConflictForecast
    sa.Column("forecast", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(["run"], ["runs.run"]),
)

# What the agents of drafts were asked for. Drafts of earlier versions have no row.
draft_requests = sa.Table(
    "draft_requests",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    # pb.DraftPlanRequest
    sa.Column("request", sa.LargeBinary, nullable=False),
    # The revision of the run's plan that the agent was given first. 0: it changes no run's plan.
    sa.Column("revision", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(["run"], ["runs.run"]),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("schedule", sa.Text, primary_key=True),
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    # pb.OverlapPolicy and pb.MissedPolicy.
    sa.Column("overlap", sa.Integer, nullable=False),
    sa.Column("missed", sa.Integer, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    # pb.CreateRunRequest of each of its runs, without request_id; the name of its plan, and its project.
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("creator", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    # When it is due. Null: never again.
    sa.Column("next_at", sa.BigInteger),
    # True: it is due and waits until its last run has ended.
    sa.Column("queued", sa.Boolean, nullable=False),
    # The due time of its last run, and the id of that run. Null and empty: none yet.
    sa.Column("last_at", sa.BigInteger),
    sa.Column("last_run", sa.Text, nullable=False),
    # Why the newest due time started no run. Empty: it started one.
    sa.Column("problem", sa.Text, nullable=False),
    sa.Index("schedules_by_time", "next_at"),
)
