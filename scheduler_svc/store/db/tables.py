"""The tables. Natural keys: the parts of a resource name are the primary key.

Times are microseconds since 1970 (UTC). States are the numbers of their enums.
Columns contain the fields that queries need. The rest of a resource is one protobuf
message in a column of bytes; a comment names its type.
"""

from typing import Final

import sqlalchemy as sa

from heddle import pb

metadata = sa.MetaData()


def _key(*columns: str, parent: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(columns, [f"{parent}.{column}" for column in columns])


runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("base_ref", sa.Text, nullable=False),
    sa.Column("base_commit", sa.Text, nullable=False),
    # The local branch of base_ref. Empty: base_ref names no branch.
    sa.Column("base_branch", sa.Text, nullable=False, server_default=""),
    # pb.BaseBehind at the creation of the run. Null: the base was up to date.
    sa.Column("base_behind", sa.LargeBinary),
    # pb.BaseState: how far its epics are behind the project's branch. Null: not known yet.
    sa.Column("base_state", sa.LargeBinary),
    sa.Column("merge_into", sa.Text, nullable=False),
    # True: each merge is one commit, without the branch's own commits.
    sa.Column("squash", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("merge_checks", sa.LargeBinary),  # pb.MergeChecks
    # The last tree on which the merge checks passed.
    sa.Column("tested_tree", sa.Text, nullable=False, server_default=""),
    # A MergeState.
    sa.Column("merge_state", sa.Integer, nullable=False, server_default="0"),
    # What the merge in progress waits for. Empty: nothing.
    sa.Column("merge_hold", sa.Text, nullable=False, server_default=""),
    # Commit of the run's branch. Empty: nothing was merged yet.
    sa.Column("head_commit", sa.Text, nullable=False, server_default=""),
    sa.Column("max_parallel", sa.Integer, nullable=False),
    # The provider whose hold paused the run. Empty: not paused by a hold.
    sa.Column("held_by", sa.Text, nullable=False, server_default=""),
    # Budget of the resource and everything below it, also in the next two tables. Null: no limit.
    sa.Column("budget_micros", sa.BigInteger),
    sa.Column("worker", sa.Text, nullable=False),
    # True: the project is a path on the disk of that worker, which serves it to other workers. If not: why, if that is known.
    sa.Column("served", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("not_served", sa.Text, nullable=False, server_default=""),
    # The newest pb.Plan of its row in plans, plus the permissions granted for the whole run since; pb.Run with these, null: none.
    sa.Column("plan", sa.LargeBinary, nullable=False),
    sa.Column("granted", sa.LargeBinary),
    # The agent that replaces the default agent of its plans. Empty: none.
    sa.Column("agent", sa.Text, nullable=False, server_default=""),
    # The actor who asked for it.
    sa.Column("creator", sa.Text, nullable=False, server_default=""),
    # What the run's environment currently lacks. Empty: nothing.
    sa.Column("fault", sa.Text, nullable=False, server_default=""),
    # Which worker it waits for, and what ends the wait. Empty: none.
    sa.Column("waits_for", sa.Text, nullable=False, server_default=""),
    # pb.Run with the branches that its remote refused. Null: none.
    sa.Column("unpushed", sa.LargeBinary),
    # When its logs had been kept for long enough, and its old refs were removed from the remote. Null or before its end: not yet.
    sa.Column("logs_expired_at", sa.BigInteger),
    sa.Column("remote_refs_removed_at", sa.BigInteger),
    # pb.UsageTotals of its attempts that have ended. Null: they have used nothing.
    sa.Column("usage", sa.LargeBinary),
    # Sequence of the newest event, assigned in the transaction that writes the event.
    sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"),
    # pb.ProjectFile at the creation of the run. Null: the project has none.
    sa.Column("project_file", sa.LargeBinary),
    # True: its agent drafts a plan. `revises` is the run whose plan that changes; `remark`: what has no effect. Empty: none.
    sa.Column("draft", sa.Boolean, nullable=False, server_default=sa.false()),
    *(sa.Column(name, sa.Text, nullable=False, server_default="") for name in ("remark", "revises")),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in ("started_at", "ended_at")),
    sa.Index("runs_by_age", "created_at", "run"),
    sa.Index("runs_by_end", "ended_at"),
    sa.Index("runs_by_project", "project", "created_at", "run"),
)

epics = sa.Table(
    "epics",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("run", "epic")),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("on_failure", sa.Integer, nullable=False),
    # pb.PlanEpic without its tasks.
    sa.Column("spec", sa.LargeBinary, nullable=False),
    # The worker that is its place. Empty: it has none yet, or is where its run is.
    sa.Column("worker", sa.Text, nullable=False, server_default=""),
    # Number of its place; higher than that of every earlier place. 0: it is where its run is, and does not move.
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("worktree_path", sa.Text, nullable=False, server_default=""),
    # pb.Lease of its worktree. Null: it had none yet.
    sa.Column("lease", sa.LargeBinary),
    # The incarnation of its worktree in which setup has run.
    sa.Column("set_up", sa.Text, nullable=False, server_default=""),
    # Why its setup failed. Empty: it did not fail, or must run again.
    sa.Column("setup_failure", sa.Text, nullable=False, server_default=""),
    # Commit with the archived content of its worktree, current or earlier. Empty: none.
    sa.Column("archive_commit", sa.Text, nullable=False, server_default=""),
    sa.Column("archived_at", sa.BigInteger),
    # When its worktree was restored. Null: it was not, or an attempt has used it since.
    sa.Column("restored_at", sa.BigInteger),
    # Start commit of its branch. Empty: it has no branch yet.
    sa.Column("start_commit", sa.Text, nullable=False, server_default=""),
    # The last accepted commit.
    sa.Column("head_commit", sa.Text, nullable=False, server_default=""),
    # Revision to which its branch is reset when its next attempt starts. Empty: no reset.
    sa.Column("rewind_to", sa.Text, nullable=False, server_default=""),
    # A MergeState.
    sa.Column("merge_state", sa.Integer, nullable=False, server_default="0"),
    # What the merge in progress waits for. Empty: nothing.
    sa.Column("merge_hold", sa.Text, nullable=False, server_default=""),
    sa.Column("merge_commit", sa.Text, nullable=False, server_default=""),
    # True: the operator requested the merge; an epic with manual merge waits for that.
    sa.Column("merge_wanted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("budget_micros", sa.BigInteger),
    # As in runs.
    sa.Column("usage", sa.LargeBinary),
    # pb.BudgetHold. Null: none of its budgets keeps it from continuing.
    sa.Column("budget_hold", sa.LargeBinary),
    # pb.MergeConflicted of the merge that conflicts.
    sa.Column("conflict", sa.LargeBinary),
    # A pb.SyncState.
    sa.Column("sync_state", sa.Integer, nullable=False, server_default="0"),
    # pb.EpicSync without its state. Null: it has taken in nothing of the project's branch.
    sa.Column("sync", sa.LargeBinary),
    # pb.EpicMove: the last time that it got another place. Null: it never did.
    sa.Column("last_move", sa.LargeBinary),
    # Why it has no place, as recorded. Empty: it lacks none.
    sa.Column("waits_for", sa.Text, nullable=False, server_default=""),
    *(sa.Column(name, sa.BigInteger) for name in ("started_at", "ended_at")),
    _key("run", parent="runs"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("run", "epic", "task")),
    # In the order of execution within the epic, from 1.
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    # Seconds.
    sa.Column("estimate", sa.Float),
    # pb.PlanTask with every default filled in.
    sa.Column("spec", sa.LargeBinary, nullable=False),
    sa.Column("attempt_count", sa.Integer, nullable=False, server_default="0"),
    # The accepted commit.
    sa.Column("commit_id", sa.Text, nullable=False, server_default=""),
    # The operator who skipped it. Empty: no operator did; if the task is skipped, its epic is then incomplete.
    sa.Column("skipped_by", sa.Text, nullable=False, server_default=""),
    # True: it merges the run's branch into the epic's; `resolution` is a person's commit of that merge, if not empty.
    sa.Column("resolves", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("resolution", sa.Text, nullable=False, server_default=""),
    # Number of the attempt whose session the next attempt must resume on the operator's request. Null: none.
    sa.Column("resume_from", sa.Integer),
    # True: it was accepted without a change, and its plan does not specify whether it should change anything.
    sa.Column("unchanged", sa.Boolean, nullable=False, server_default=sa.false()),
    # The needs of its spec, separated by spaces.
    sa.Column("needs", sa.Text, nullable=False, server_default=""),
    # The agents of its attempts and reviews, one a line, as TaskView.agents names them. Empty: not known.
    sa.Column("agents", sa.Text, nullable=False, server_default=""),
    sa.Column("budget_micros", sa.BigInteger),
    # The accepted attempt, which reviews can follow. Null: none, or an earlier version accepted the newest one.
    sa.Column("accepted_attempt", sa.Integer),
    # pb.Review that its next attempt does; if REJECTED, the one whose findings that fixes. While it waits for a choice:
    # the comparison that made none. Null: it is not under review.
    sa.Column("review", sa.LargeBinary),
    # How many candidates its plan has, how often these have started together, and whether an agent compares them.
    sa.Column("candidates", sa.Integer, nullable=False, server_default="0"),
    sa.Column("rounds", sa.Integer, nullable=False, server_default="0"),
    sa.Column("compares", sa.Boolean, nullable=False, server_default=sa.false()),
    # The number of the chosen candidate. 0: none is.
    sa.Column("chosen", sa.Integer, nullable=False, server_default="0"),
    # Its number if it is a candidate TASK@N, which has the position of its task. 0: it is a task of the plan.
    sa.Column("candidate", sa.Integer, nullable=False, server_default="0"),
    # Null: it has none.
    sa.Column("score", sa.Float),
    # How many of its newest attempts in a row failed immediately, and how many lost their provider.
    sa.Column("quick_failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("outages", sa.Integer, nullable=False, server_default="0"),
    # When its next attempt may start. 0: immediately.
    sa.Column("start_after", sa.BigInteger, nullable=False, server_default="0"),
    _key("run", "epic", parent="epics"),
    sa.Index("tasks_by_state", "run", "epic", "state", "unchanged", "candidate", "candidates"),
    # For the open questions of all runs.
    sa.Index(
        "tasks_waiting",
        "run",
        postgresql_where=sa.text(f"state = {pb.TASK_STATE_WAITING}"),
        sqlite_where=sa.text(f"state = {pb.TASK_STATE_WAITING}"),
    ),
)

attempts = sa.Table(
    "attempts",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("run", "epic", "task")),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    # Null while it occupies its slot.
    sa.Column("ended_at", sa.BigInteger),
    # Why it was asked to stop. Null: it was not asked.
    sa.Column("stop_reason", sa.Text),
    # False: its task runs again without using a retry.
    sa.Column("counts", sa.Boolean, nullable=False, server_default=sa.true()),
    # Share of the budgets above it, reserved before it started. Null: no budget applies.
    sa.Column("share_micros", sa.BigInteger),
    # Cost of its most expensive report of usage.
    sa.Column("turn_micros", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("session_sequence", sa.BigInteger, nullable=False, server_default="0"),
    # pb.SessionFinished. Null until the session has ended.
    sa.Column("session_result", sa.LargeBinary),
    # pb.SessionSummary
    sa.Column("summary", sa.LargeBinary, nullable=False),
    # pb.UsageTotals
    sa.Column("usage", sa.LargeBinary, nullable=False),
    # Cost of its usage.
    sa.Column("cost_micros", sa.BigInteger, nullable=False, server_default="0"),
    # pb.Attempt with the fields that no query needs: commit, kept_ref, diff_stat, checks, approvals.
    sa.Column("record", sa.LargeBinary, nullable=False),
    _key("run", "epic", "task", parent="tasks"),
    sa.Index("attempts_by_end", "ended_at"),
    # For the live attempts of a run, and of an epic.
    sa.Index(
        "attempts_live",
        "run",
        "epic",
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    ),
)

run_events = sa.Table(
    "run_events",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    # pb.Event
    sa.Column("event", sa.LargeBinary, nullable=False),
    _key("run", parent="runs"),
)

session_chunks = sa.Table(
    "session_chunks",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("run", "epic", "task")),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("first_sequence", sa.BigInteger, primary_key=True),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    # pb.WatchSessionResponse with these events: chunks can be joined as bytes.
    sa.Column("events", sa.LargeBinary, nullable=False),
    _key("run", "epic", "task", "number", parent="attempts"),
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("run", "epic", "task")),
    sa.Column("number", sa.Integer, primary_key=True),
    # As in the event of the screenshot.
    sa.Column("artifact", sa.Text, primary_key=True),
    # Bytes. Before the data, so that it is read without them.
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    _key("run", "epic", "task", "number", parent="attempts"),
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    # SHA-256 of the method and the request.
    sa.Column("hash", sa.LargeBinary, nullable=False),
    # The resource that the request created or changed.
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("requests_by_age", "created_at"),
)

project_totals = sa.Table(
    "project_totals",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    # Cost of all attempts that have ended.
    sa.Column("cost_micros", sa.BigInteger, nullable=False, server_default="0"),
    # Cost of the accepted attempts that cost anything, and their number.
    sa.Column("accepted_micros", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("accepted_count", sa.BigInteger, nullable=False, server_default="0"),
)

holds = sa.Table(
    "holds",
    metadata,
    # Name of the provider, as returned by provider_of in heddle/agents.py.
    sa.Column("provider", sa.Text, primary_key=True),
    # When its agents may start again.
    sa.Column("until", sa.BigInteger, nullable=False),
    # How many sessions in a row met an outage again after the hold.
    sa.Column("repeats", sa.Integer, nullable=False, server_default="0"),
    # True: the hold lasts until the operator lifts it.
    sa.Column("needs_operator", sa.Boolean, nullable=False, server_default=sa.false()),
    # The pb.Outcome of the session that met the outage, and the reason.
    sa.Column("cause", sa.Integer, nullable=False, server_default="10"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False, server_default="0"),
)

leader_requests = sa.Table(
    "errands",
    metadata,
    # The request_id.
    sa.Column("id", sa.Text, primary_key=True),
    # The message name of the request, and the message.
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),
    # Who asked.
    sa.Column("actor", sa.Text, nullable=False, server_default="user"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    # Null until the request is done.
    sa.Column("ended_at", sa.BigInteger),
    # The response message.
    sa.Column("answer", sa.LargeBinary),
    # The google.rpc.Status if the request failed instead.
    sa.Column("error", sa.LargeBinary),
    sa.Index("errands_by_end", "ended_at"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    # The caller's actor. Empty: unknown.
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("peer", sa.Text, nullable=False),
    # Empty: the call was carried out.
    sa.Column("refusal", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Index("audit_by_user", "user", "sequence"),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    # Addresses of its services, empty if it is in HEDDLE_WORKERS or has left, and who drained it.
    *(sa.Column(c, sa.Text, nullable=False, server_default="") for c in ("worktree", "agent", "drained_by")),
    # A JSON object.
    sa.Column("labels", sa.Text, nullable=False, server_default="{}"),
    sa.Column("draining", sa.Boolean, nullable=False, server_default=sa.false()),
    *(sa.Column(c, sa.BigInteger) for c in ("drained_at", "renewed_at")),
)

leadership = sa.Table(
    "leadership",
    metadata,
    # One row, number 1.
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)

# Joins a task with its epic.
EPIC_OF_TASK: Final = sa.and_(epics.c.run == tasks.c.run, epics.c.epic == tasks.c.epic)

# The task is one of its plan, and no candidate.
IS_WHOLE: Final = tasks.c.candidate == 0

# Joins a task with its attempts.
ATTEMPT_OF_TASK: Final = sa.and_(
    attempts.c.run == tasks.c.run,
    attempts.c.epic == tasks.c.epic,
    attempts.c.task == tasks.c.task,
)

# Joins a task with its accepted attempt, or else with its newest one, which alone can be live.
NEWEST_ATTEMPT: Final = sa.and_(
    ATTEMPT_OF_TASK, attempts.c.number == sa.func.coalesce(tasks.c.accepted_attempt, tasks.c.attempt_count)
)
