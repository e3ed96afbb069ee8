"""Converts rows to resources of the API."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import AttemptName, EpicName, RunName, TaskName, WorktreeName
from scheduler_svc.model.plans.plan_defaults import background_wait
from scheduler_svc.model.sessions.session_summary import closed_lines
from scheduler_svc.store.db.tables import EPIC_OF_TASK, IS_WHOLE, attempts, epics, runs, tasks
from scheduler_svc.store.db.times import optional_timestamp, timestamp
from scheduler_svc.store.queries.spending import usage_by_epic, usage_by_run

Row = sa.Row[Any]

# Maximum number of names in one query, because databases limit the parameters.
_MOST_KEYS = 1000

_COUNTED = {
    pb.TASK_STATE_PENDING: "pending",
    pb.TASK_STATE_RUNNING: "running",
    pb.TASK_STATE_WAITING: "waiting",
    pb.TASK_STATE_ACCEPTED: "accepted",
    pb.TASK_STATE_FAILED: "failed",
    pb.TASK_STATE_SKIPPED: "skipped",
}


# The columns of a run that its resource needs. The plan and the project's file are large, and not among them.
RUN_COLUMNS = tuple(
    column for column in runs.c if column.name not in {"plan", "project_file", "merge_checks"}
)


def get_run(connection: sa.Connection, name: RunName) -> pb.Run:
    """Returns the run; raises NOT_FOUND."""
    row = connection.execute(sa.select(*RUN_COLUMNS).where(runs.c.run == name.run)).one_or_none()
    if row is None:
        raise not_found(name)
    return runs_of(connection, [row])[0]


def get_epics(connection: sa.Connection, run: str, keys: Iterable[str] | None = None) -> list[pb.Epic]:
    """Returns the given epics of a run, or all, in the order of the plan."""
    chosen = sa.select(epics).where(epics.c.run == run)
    if keys is not None:
        chosen = chosen.where(epics.c.epic.in_(list(keys)))
    return epics_of(connection, connection.execute(chosen.order_by(epics.c.place)).all())


def get_task(connection: sa.Connection, name: TaskName) -> pb.Task:
    """Returns the task; raises NOT_FOUND."""
    found = get_tasks(connection, name.run, [(name.epic, name.task)])
    if not found:
        raise not_found(name)
    return found[0]


def get_spec(connection: sa.Connection, name: TaskName) -> pb.PlanTask:
    """Returns the plan of an existing task."""
    spec = connection.execute(sa.select(tasks.c.spec).where(*is_task(name))).scalar_one()
    return pb.PlanTask.FromString(spec)


def get_tasks(
    connection: sa.Connection, run: str, keys: Iterable[tuple[str, str]] | None = None
) -> list[pb.Task]:
    """Returns the tasks of a run given as (epic, task), or all tasks, in planned order."""
    chosen = select_tasks().where(tasks.c.run == run)
    if keys is not None:
        chosen = chosen.where(sa.tuple_(tasks.c.epic, tasks.c.task).in_(list(keys)))
    order = (epics.c.place, tasks.c.position, tasks.c.candidate)
    rows = connection.execute(chosen.order_by(*order)).all()
    return tasks_of(connection, rows)


def get_attempt(connection: sa.Connection, name: AttemptName) -> pb.Attempt:
    """Returns the attempt; raises NOT_FOUND."""
    row = connection.execute(sa.select(attempts).where(*is_attempt(name))).one_or_none()
    if row is None:
        raise not_found(name)
    return attempt_of(row)


def get_last_failed(connection: sa.Connection, name: TaskName) -> pb.Attempt | None:
    """Returns a task's newest failed attempt since it was last accepted; None if there is none."""
    chosen = sa.select(attempts).where(
        *attempts_at(name),
        attempts.c.number > last_accepted(connection, name),
        attempts.c.state == pb.ATTEMPT_STATE_FAILED,
        # An attempt that failed because of a busy provider says nothing about the work.
        attempts.c.counts,
    )
    for row in connection.execute(chosen.order_by(attempts.c.number.desc())):
        result = pb.SessionFinished.FromString(row.session_result or b"")
        # Neither does a setup that failed before the agent started.
        if result.outcome != pb.OUTCOME_SETUP_FAILED:
            return attempt_of(row)
    return None


def agent_spans(connection: sa.Connection, name: AttemptName) -> list[pb.TimeSpan]:
    """Returns when agents worked on an attempt's task since it was last accepted, as reported by workers."""
    chosen = sa.select(attempts.c.session_result).where(
        *attempts_at(name.parent),
        attempts.c.number > last_accepted(connection, name.parent),
        attempts.c.session_result.is_not(None),
    )
    results = connection.execute(chosen.order_by(attempts.c.number)).scalars()
    return spans_of(pb.SessionFinished.FromString(each) for each in results)


def spans_of(ended: Iterable[pb.SessionFinished]) -> list[pb.TimeSpan]:
    """Returns when the agents of sessions worked, as their workers reported it."""
    return [
        pb.TimeSpan(start=each.agent_start_time, end=each.agent_end_time)
        for each in ended
        if each.HasField("agent_end_time")
    ]


def last_accepted(connection: sa.Connection, name: TaskName) -> int:
    """Returns the number of a task's newest accepted attempt, even if reopened since; 0 if there is none."""
    accepted = sa.select(sa.func.max(attempts.c.number)).where(
        *attempts_at(name), attempts.c.state == pb.ATTEMPT_STATE_ACCEPTED
    )
    return connection.execute(accepted).scalar_one() or 0


def is_epic(name: EpicName | WorktreeName) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the condition that selects the epic in its table."""
    return (epics.c.run == name.run, epics.c.epic == name.epic)


def is_task(name: TaskName) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the condition that selects the task in its table."""
    return (tasks.c.run == name.run, tasks.c.epic == name.epic, tasks.c.task == name.task)


def attempts_at(name: TaskName) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the condition that selects the attempts of the task in their table."""
    return (attempts.c.run == name.run, attempts.c.epic == name.epic, attempts.c.task == name.task)


def is_attempt(name: AttemptName) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the condition that selects the attempt in its table."""
    return (*attempts_at(name.parent), attempts.c.number == name.number)


def runs_of(connection: sa.Connection, rows: Iterable[Row]) -> list[pb.Run]:
    """Converts rows of the run table to runs, with counts and usage."""
    rows = list(rows)
    keys = [row.run for row in rows]
    counts = _counts(connection, tasks.c.run, tasks.c.run.in_(keys), IS_WHOLE)
    usage = usage_by_run(connection, [runs.c.run], runs.c.run.in_(keys))
    sizes = sa.select(epics.c.run, sa.func.count()).where(epics.c.run.in_(keys)).group_by(epics.c.run)
    epic_counts = {run: count for run, count in connection.execute(sizes)}  # noqa: C416 (rows are not tuples to mypy)
    return [
        run_of(row, counts.get(row.run), epic_counts.get(row.run, 0), usage.get((row.run,))) for row in rows
    ]


def run_of(row: Any, counts: pb.TaskCounts | None, epic_count: int, usage: pb.UsageTotals | None) -> pb.Run:
    """Converts a row with RUN_COLUMNS to a run."""
    return pb.Run(
        name=str(RunName(row.run)),
        title=row.title,
        state=row.state,
        reason=row.reason,
        project=row.project,
        base_ref=row.base_ref,
        base_commit=row.base_commit,
        branch=RunName(row.run).branch,
        merge_into=row.merge_into,
        max_parallel=row.max_parallel,
        budget_usd_micros=row.budget_micros,
        tasks=counts,
        epic_count=epic_count,
        usage=usage,
        create_time=timestamp(row.created_at),
        start_time=optional_timestamp(row.started_at),
        end_time=optional_timestamp(row.ended_at),
        sequence=row.sequence,
        creator=row.creator,
        fault=row.fault if row.ended_at is None else "",
        waits_for=row.waits_for if row.ended_at is None else "",
        unpushed=pb.Run.FromString(row.unpushed or b"").unpushed,
        held_by=row.held_by if row.state == pb.RUN_STATE_PAUSED else "",
        base_behind=pb.BaseBehind.FromString(row.base_behind) if row.base_behind else None,
        base_state=pb.BaseState.FromString(row.base_state)
        if row.base_state and row.ended_at is None
        else None,
        merge_hold=row.merge_hold,
        draft=row.draft,
        revises=str(RunName(row.revises)) if row.revises else "",
        remark=row.remark,
        granted_permissions=pb.Run.FromString(row.granted or b"").granted_permissions,
    )


def epics_of(connection: sa.Connection, rows: Iterable[Row]) -> list[pb.Epic]:
    """Converts rows of the epic table, all of one run, to epics with counts and usage."""
    rows = list(rows)
    if not rows:
        return []
    run, keys = rows[0].run, [row.epic for row in rows]
    worker = connection.execute(sa.select(runs.c.worker).where(runs.c.run == run)).scalar_one()
    counts = _counts(connection, tasks.c.epic, tasks.c.run == run, tasks.c.epic.in_(keys), IS_WHOLE)
    usage = usage_by_epic(connection, run, epics.c.epic.in_(keys))
    return [epic_of(row, worker, counts.get(row.epic), usage.get((row.epic,))) for row in rows]


def epic_of(row: Any, worker: str, counts: pb.TaskCounts | None, usage: pb.UsageTotals | None) -> pb.Epic:
    """Converts a row of the epic table to an epic; `worker` is its run's."""
    spec = pb.PlanEpic.FromString(row.spec)
    conflict = pb.MergeConflicted.FromString(row.conflict or b"")
    lease = pb.Lease.FromString(row.lease or b"")
    name = EpicName(row.run, row.epic)
    return pb.Epic(
        name=str(name),
        key=row.epic,
        title=spec.title,
        index=row.place,
        state=row.state,
        reason=row.reason,
        priority=row.priority,
        depends_on=spec.depends_on,
        touches=spec.touches,
        on_failure=row.on_failure,
        branch=name.branch,
        worktree_path=row.worktree_path,
        worker=(row.worker or worker) if row.worktree_path else "",
        head_commit=row.head_commit,
        merge_commit=row.merge_commit,
        conflict_files=conflict.files,
        tasks=counts,
        usage=usage,
        start_time=optional_timestamp(row.started_at),
        end_time=optional_timestamp(row.ended_at),
        merge=spec.merge or pb.MERGE_POLICY_AUTO,
        slot=lease.slot,
        ports=lease.ports,
        on_conflict=spec.on_conflict or pb.ON_CONFLICT_WAIT,
        merge_hold=row.merge_hold,
        budget_hold=pb.BudgetHold.FromString(row.budget_hold) if row.budget_hold else None,
        sync_policy=spec.sync or pb.SYNC_POLICY_OFF,
        sync=_sync_of(row),
        last_move=pb.EpicMove.FromString(row.last_move) if row.last_move else None,
        waits_for=row.waits_for if row.ended_at is None else "",
    )


def _sync_of(row: Any) -> pb.EpicSync | None:
    """Returns what an epic took in of the project's branch; None if it has nothing to do with it."""
    if not row.sync and not row.sync_state:
        return None
    sync = pb.EpicSync.FromString(row.sync or b"")
    sync.state = row.sync_state if row.ended_at is None else pb.SYNC_STATE_UNSPECIFIED
    return sync


def select_tasks() -> sa.Select[Any]:
    """Returns the query for the rows that `tasks_of` converts, without order or condition."""
    return sa.select(tasks, epics.c.place).select_from(tasks.join(epics, EPIC_OF_TASK))


def tasks_of(connection: sa.Connection, rows: Iterable[Row]) -> list[pb.Task]:
    """Converts rows of `select_tasks`, all of one run, to tasks, each with its latest attempt."""
    rows = list(rows)
    keys = [
        (row.epic, row.task, row.accepted_attempt or row.attempt_count) for row in rows if row.attempt_count
    ]
    latest: dict[tuple[str, str], pb.Attempt] = {}
    for first in range(0, len(keys), _MOST_KEYS):
        chosen = sa.select(attempts).where(
            attempts.c.run == rows[0].run,
            sa.tuple_(attempts.c.epic, attempts.c.task, attempts.c.number).in_(
                keys[first : first + _MOST_KEYS]
            ),
        )
        latest |= {(each.epic, each.task): attempt_of(each) for each in connection.execute(chosen)}
    return [task_of(row, latest.get((row.epic, row.task))) for row in rows]


def task_of(row: Any, latest: pb.Attempt | None) -> pb.Task:
    """Converts a row of the task table to a task."""
    spec = pb.PlanTask.FromString(row.spec)
    return pb.Task(
        name=str(TaskName(row.run, row.epic, row.task)),
        key=row.task,
        title=spec.title,
        position=row.position,
        state=row.state,
        reason=row.reason,
        prompt=spec.prompt,
        agent=spec.agent,
        checks=spec.checks,
        timeout=spec.timeout if spec.HasField("timeout") else None,
        silence=spec.silence if spec.HasField("silence") else None,
        background_wait=background_wait(spec),
        expect=spec.expect,
        needs=spec.needs,
        source=spec.source,
        reviews=spec.reviews,
        retries=spec.retries,
        estimate=spec.estimate if spec.HasField("estimate") else None,
        priority=spec.priority,
        attempt_count=row.attempt_count,
        latest_attempt=latest,
        commit=row.commit_id,
        candidate=row.candidate,
        candidates=row.candidates,
        chosen_candidate=row.chosen,
        score_command=spec.score,
        score=row.score,
        choose=spec.choose if spec.HasField("choose") else None,
    )


def attempt_of(row: Any) -> pb.Attempt:
    """Converts a row of the attempt table to an attempt."""
    attempt = pb.Attempt.FromString(row.record)
    attempt.name = str(AttemptName(row.run, row.epic, row.task, row.number))
    attempt.state = row.state
    attempt.reason = row.reason
    attempt.worker = row.worker
    attempt.agent = row.agent
    attempt.start_time.CopyFrom(timestamp(row.started_at))
    if row.ended_at is not None:
        attempt.end_time.CopyFrom(timestamp(row.ended_at))
    attempt.summary.CopyFrom(summary_of(row))
    attempt.usage.ParseFromString(row.usage)
    attempt.session_sequence = row.session_sequence
    for approval in attempt.approvals:
        approval.attempt = attempt.name
    return attempt


def summary_of(row: Any) -> pb.SessionSummary:
    """Returns the summary of an attempt for its card."""
    summary = pb.SessionSummary.FromString(row.summary)
    closed_lines(summary)
    summary.attempt = str(AttemptName(row.run, row.epic, row.task, row.number))
    summary.state = row.state
    return summary


def counted_state(table: Any) -> sa.ColumnElement[int]:
    """Returns the state by which a task of a plan counts: it waits while one of its candidates does.

    `table` has tasks. Only one task of an epic has candidates that have not ended.
    """
    other = tasks.alias("candidate_of")
    waits = (
        sa.select(other.c.task)
        .where(
            other.c.run == table.c.run,
            other.c.epic == table.c.epic,
            other.c.state == pb.TASK_STATE_WAITING,
            other.c.candidate > 0,
        )
        .exists()
    )
    tried = sa.and_(table.c.candidates > 0, table.c.state == pb.TASK_STATE_RUNNING)
    return sa.case((sa.and_(tried, waits), int(pb.TASK_STATE_WAITING)), else_=table.c.state)


def _counts(
    connection: sa.Connection, group: sa.Column[str], *where: sa.ColumnElement[bool]
) -> Mapping[str, pb.TaskCounts]:
    counted: defaultdict[str, dict[tuple[int, bool], int]] = defaultdict(dict)
    columns = (group, counted_state(tasks), tasks.c.unchanged)
    for key, state, unchanged, count in connection.execute(
        sa.select(*columns, sa.func.count()).where(*where).group_by(*columns)
    ):
        counted[key][state, unchanged] = count
    return {key: task_counts(each) for key, each in counted.items()}


def task_counts(counted: Mapping[tuple[int, bool], int]) -> pb.TaskCounts:
    """Returns the counts of tasks; `counted` has them by state and whether the task is marked as unchanged."""
    counts = pb.TaskCounts()
    for (state, unchanged), count in counted.items():
        counts.total += count
        field = _COUNTED[pb.TaskState.ValueType(state)]
        setattr(counts, field, getattr(counts, field) + count)
        # A reopened task is no longer accepted.
        if unchanged and state == pb.TASK_STATE_ACCEPTED:
            counts.unchanged += count
    return counts
