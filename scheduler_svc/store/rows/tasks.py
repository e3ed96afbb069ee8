"""Writes the rows of tasks."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName, TaskName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.status import IllegalMoveError, Move, TaskStatus
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.statements import of, this
from scheduler_svc.store.db.tables import IS_WHOLE, tasks
from scheduler_svc.store.rows.moves import change_of, make_move, try_move

_CHANGE = sa.update(tasks).where(*this(tasks))
_START = change_of(tasks, transitions.TASK_START).where(
    tasks.c.attempt_count == sa.bindparam("of_number") - 1
)
_UNSTARTED = (
    tasks.c.attempt_count == 0,
    tasks.c.rounds == 0,
    tasks.c.state == pb.TASK_STATE_PENDING,
)
_PUT_BACK = (
    sa.update(tasks)
    .where(
        tasks.c.run == sa.bindparam("of_run"),
        tasks.c.epic == sa.bindparam("of_epic"),
        tasks.c.state.in_([status.state for status in transitions.TASK_PUT_BACK.sources]),
        tasks.c.skipped_by == "",
        IS_WHOLE,
    )
    .returning(tasks.c.task)
)


def insert(connection: sa.Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Adds tasks that have not started."""
    connection.execute(sa.insert(tasks), [dict(row) for row in rows])


def move(connection: sa.Connection, name: TaskName, made: Move[TaskStatus], **values: object) -> None:
    """Makes a move and also sets `values`; raises IllegalMoveError."""
    make_move(connection, tasks, name, made, now=None, **values)


def try_to(connection: sa.Connection, name: TaskName, made: Move[TaskStatus], **values: object) -> bool:
    """Makes a move and also sets `values`; returns False and writes nothing if the task does not allow it."""
    return try_move(connection, tasks, name, made, now=None, **values)


def move_from(
    connection: sa.Connection,
    name: TaskName,
    seen: "pb.TaskState.ValueType",
    made: Move[TaskStatus],
    **values: object,
) -> None:
    """Makes a move if the task's state is still `seen`; raises IllegalMoveError if it has changed since."""
    if not try_move(connection, tasks, name, made, tasks.c.state == seen, now=None, **values):
        state = connection.execute(sa.select(tasks.c.state).where(*this(tasks)), of(name)).scalar_one()
        raise IllegalMoveError(name, TaskStatus(state), made.event)


def start(connection: sa.Connection, attempt: AttemptName) -> bool:
    """Starts an attempt that was read as the next one of a pending task; returns False if it no longer is.

    If the connection queues, such a change makes the transaction's work run again instead.
    """
    values = of(attempt) | transitions.TASK_START.columns() | {"attempt_count": attempt.number}
    if pipeline.queues(connection):
        pipeline.later(connection, _START, values, required=True)
        return True
    return bool(connection.execute(_START, values).rowcount)


def put_back(connection: sa.Connection, epic: EpicName) -> list[str]:
    """Makes the tasks of an epic pending that were skipped because another task had failed; returns their keys."""
    return sorted(connection.execute(_PUT_BACK, of(epic) | transitions.TASK_PUT_BACK.columns()).scalars())


def change(connection: sa.Connection, name: TaskName, **values: object) -> None:
    """Sets columns that are not part of the status."""
    pipeline.later(connection, _CHANGE, of(name) | values)


def try_change(connection: sa.Connection, name: TaskName, **values: object) -> bool:
    """Sets columns that are not part of the status; returns False if the task does not exist."""
    return bool(connection.execute(_CHANGE, of(name) | values).rowcount)


def change_unstarted(connection: sa.Connection, name: TaskName, **values: object) -> bool:
    """Sets columns of a task; returns False and writes nothing if it has started."""
    return bool(connection.execute(_CHANGE.where(*_UNSTARTED), of(name) | values).rowcount)


def delete_unstarted(connection: sa.Connection, name: TaskName) -> bool:
    """Removes a task; returns False and changes nothing if it has started."""
    chosen = sa.delete(tasks).where(*this(tasks), *_UNSTARTED)
    return bool(connection.execute(chosen, of(name)).rowcount)


def give_reason(connection: sa.Connection, name: TaskName, reason: str) -> None:
    """Records why a running task waits; does nothing if the task does not run."""
    running = _CHANGE.where(tasks.c.state == pb.TASK_STATE_RUNNING)
    connection.execute(running, of(name) | {"reason": reason})
