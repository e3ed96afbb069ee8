"""Statements that every task needs. They are built once, because building one costs more than running it.

Each takes `of(name)`.
"""

from typing import Any, Final

import sqlalchemy as sa

from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.store.db.tables import attempts, epics, run_events, runs, session_chunks, tasks

_RUN: Final[sa.BindParameter[Any]] = sa.bindparam("of_run")
_EPIC: Final[sa.BindParameter[Any]] = sa.bindparam("of_epic")
_TASK: Final[sa.BindParameter[Any]] = sa.bindparam("of_task")
_THIS_EPIC: Final = (epics.c.run == _RUN, epics.c.epic == _EPIC)
_THIS_TASK: Final = (tasks.c.run == _RUN, tasks.c.epic == _EPIC, tasks.c.task == _TASK)
_THIS_ATTEMPT: Final = (
    attempts.c.run == _RUN,
    attempts.c.epic == _EPIC,
    attempts.c.task == _TASK,
    attempts.c.number == sa.bindparam("of_number"),
)


def of(name: RunName | EpicName | TaskName | AttemptName) -> dict[str, object]:
    """Returns the parameters that select the row of `name`."""
    return {f"of_{field}": value for field, value in zip(name._fields, name, strict=True)}


ANY_ATTEMPT: Final = sa.select(attempts).where(*_THIS_ATTEMPT)
LIVE_ATTEMPT: Final = sa.select(attempts).where(*_THIS_ATTEMPT, attempts.c.ended_at.is_(None))

# For the driver of a live attempt.
ASSIGNMENT: Final = sa.select(
    runs.c.project,
    runs.c.base_commit,
    runs.c.head_commit,
    epics.c.spec.label("epic_spec"),
    runs.c.project_file,
    epics.c.worktree_path,
    epics.c.lease,
    epics.c.set_up,
    epics.c.rewind_to,
    tasks.c.spec,
    tasks.c.resolves,
    tasks.c.resume_from,
    attempts.c.worker,
    attempts.c.state,
    attempts.c.session_sequence,
    attempts.c.session_result,
    attempts.c.stop_reason,
    attempts.c.share_micros,
).where(
    *_THIS_ATTEMPT,
    attempts.c.ended_at.is_(None),
    *_THIS_TASK,
    *_THIS_EPIC,
    runs.c.run == attempts.c.run,
    epics.c.run == attempts.c.run,
    tasks.c.run == attempts.c.run,
)

# For the start of a task.
RUN_OF_EPIC: Final = sa.select(
    runs.c.state,
    runs.c.worker,
    epics.c.state.label("epic_state"),
    sa.select(attempts.c.number)
    .where(attempts.c.run == _RUN, attempts.c.epic == _EPIC, attempts.c.ended_at.is_(None))
    .exists()
    .label("has_live_attempt"),
).where(*_THIS_EPIC, runs.c.run == epics.c.run)
INSERT_CHUNK: Final = sa.insert(session_chunks)
INSERT_EVENTS: Final = sa.insert(run_events)

# Has another parameter, `count`: how many numbers to take.
TAKE_NUMBERS: Final = (
    sa.update(runs)
    .where(runs.c.run == _RUN)
    .values(sequence=runs.c.sequence + sa.bindparam("count"))
    .returning(runs.c.sequence)
)
