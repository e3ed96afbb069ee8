"""Statements that every task needs. They are built once, because building one costs more than running it.

Each takes `of(name)`.
"""

from typing import Final

import sqlalchemy as sa

from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.store.db.tables import attempts, epics, run_events, runs, session_chunks, tasks


def of(name: RunName | EpicName | TaskName | AttemptName) -> dict[str, object]:
    """Returns the parameters that select the row of `name`."""
    return {f"of_{field}": value for field, value in zip(name._fields, name, strict=True)}


def this(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    """Returns the condition for the row that the parameters `of(name)` select."""
    return [column == sa.bindparam(f"of_{column.name}") for column in table.primary_key.columns]


ANY_ATTEMPT: Final = sa.select(attempts).where(*this(attempts))
LIVE_ATTEMPT: Final = sa.select(attempts).where(*this(attempts), attempts.c.ended_at.is_(None))

# For the acceptance of a live attempt's task.
ACCEPTING: Final = sa.select(
    attempts.c.agent,
    attempts.c.record,
    attempts.c.usage,
    attempts.c.cost_micros,
    tasks.c.spec,
    runs.c.unpushed,
).where(*this(attempts), attempts.c.ended_at.is_(None), *this(tasks), *this(runs))

# For the driver of a live attempt.
ASSIGNMENT: Final = sa.select(
    runs.c.worker.label("home"),
    epics.c.generation,
    runs.c.project,
    runs.c.base_commit,
    runs.c.base_ref,
    runs.c.base_branch,
    runs.c.merge_into,
    runs.c.head_commit,
    epics.c.spec.label("epic_spec"),
    epics.c.sync_state,
    epics.c.sync,
    runs.c.project_file,
    runs.c.draft,
    epics.c.worktree_path,
    epics.c.lease,
    epics.c.set_up,
    epics.c.rewind_to,
    epics.c.head_commit.label("epic_head"),
    tasks.c.spec,
    tasks.c.resolves,
    tasks.c.resolution,
    tasks.c.resume_from,
    tasks.c.review,
    tasks.c.candidate,
    tasks.c.chosen,
    attempts.c.worker,
    attempts.c.state,
    attempts.c.session_sequence,
    attempts.c.session_result,
    attempts.c.stop_reason,
    attempts.c.share_micros,
).where(
    *this(attempts),
    attempts.c.ended_at.is_(None),
    *this(tasks),
    *this(epics),
    runs.c.run == attempts.c.run,
    epics.c.run == attempts.c.run,
    tasks.c.run == attempts.c.run,
)

# The worker of an epic that has no place is that of its run.
EPIC_WORKER: Final = sa.case((epics.c.worker != "", epics.c.worker), else_=runs.c.worker)

# For the start of a task: what decides whether it may start, and the columns of its assignment.
START: Final = sa.select(
    runs.c.state,
    EPIC_WORKER.label("worker"),
    epics.c.worker.label("place"),
    epics.c.generation,
    runs.c.worker.label("home"),
    runs.c.project,
    runs.c.base_commit,
    runs.c.base_ref,
    runs.c.base_branch,
    runs.c.merge_into,
    runs.c.head_commit,
    runs.c.project_file,
    runs.c.draft,
    epics.c.state.label("epic_state"),
    epics.c.spec.label("epic_spec"),
    epics.c.sync_state,
    epics.c.sync,
    epics.c.worktree_path,
    epics.c.lease,
    epics.c.set_up,
    epics.c.rewind_to,
    epics.c.head_commit.label("epic_head"),
    tasks.c.state.label("task_state"),
    tasks.c.attempt_count,
    tasks.c.spec,
    tasks.c.resolves,
    tasks.c.resolution,
    tasks.c.resume_from,
    tasks.c.review,
    tasks.c.candidate,
    tasks.c.chosen,
    sa.select(attempts.c.number)
    .where(
        attempts.c.run == sa.bindparam("of_run"),
        attempts.c.epic == sa.bindparam("of_epic"),
        # Other candidates of the same task may be live.
        sa.or_(tasks.c.candidate == 0, attempts.c.task == sa.bindparam("of_task")),
        attempts.c.ended_at.is_(None),
    )
    .exists()
    .label("has_live_attempt"),
).where(*this(tasks), epics.c.run == tasks.c.run, epics.c.epic == tasks.c.epic, runs.c.run == tasks.c.run)
INSERT_CHUNK: Final = sa.insert(session_chunks)

# Has another parameter, `count`: how many numbers to take.
TAKE_NUMBERS: Final = (
    sa.update(runs).where(*this(runs)).values(sequence=runs.c.sequence + sa.bindparam("count"))
)

# After TAKE_NUMBERS. Has other parameters: the `event`, and its `place` before the last one: 0 for the last, -1 for
# the one before it. The stored event has no sequence of its own.
INSERT_EVENT: Final = sa.insert(run_events).from_select(
    ["run", "sequence", "event"],
    sa.select(
        runs.c.run,
        runs.c.sequence + sa.bindparam("place", type_=sa.Integer),
        sa.bindparam("event", type_=sa.LargeBinary),
    ).where(*this(runs)),
)
