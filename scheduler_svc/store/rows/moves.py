"""Writes moves of the transition table to rows, only from a source status of the move."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.model.lifecycle.status import (
    AttemptStatus,
    EpicStatus,
    IllegalMoveError,
    Move,
    RunStatus,
    Status,
    TaskStatus,
)
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.statements import of, this

Name = RunName | EpicName | TaskName | AttemptName


def try_move(
    connection: sa.Connection,
    table: sa.Table,
    name: Name,
    move: Move[Status],
    *conditions: sa.ColumnElement[bool],
    now: int | None = None,
    **values: object,
) -> bool:
    """Makes the move and also sets `values`; returns False and writes nothing if the row does not allow it.

    `now` is in microseconds. The row must also meet `conditions`.
    """
    change = _change(table, move, conditions)
    return bool(connection.execute(change, of(name) | move.columns(now) | values).rowcount)


def move_seen(
    connection: sa.Connection,
    table: sa.Table,
    name: Name,
    move: Move[Status],
    *conditions: sa.ColumnElement[bool],
    now: int | None = None,
    **values: object,
) -> bool:
    """Like `try_move`, for a row whose status was read in this transaction and allows the move.

    The change is queued if the connection queues. If the row has changed since it was read, the transaction
    then fails with MissedError and its work runs again; without a queue, False is returned.
    """
    if not pipeline.queues(connection):
        return try_move(connection, table, name, move, *conditions, now=now, **values)
    change = _change(table, move, conditions)
    pipeline.later(connection, change, of(name) | move.columns(now) | values, required=True)
    return True


def make_move(
    connection: sa.Connection,
    table: sa.Table,
    name: Name,
    move: Move[Status],
    *,
    now: int | None = None,
    **values: object,
) -> None:
    """Makes the move and also sets `values`; raises IllegalMoveError if the row's status does not allow it."""
    if move_seen(connection, table, name, move, now=now, **values):
        return
    row = connection.execute(_status_of(table), of(name)).one()
    raise IllegalMoveError(name, _STATUS[table.name](*row), move.event)


def make_moves(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[tuple[Name, Mapping[str, object]]],
    move: Move[Status],
    *conditions: sa.ColumnElement[bool],
) -> None:
    """Makes the same move for many rows with one statement; raises IllegalMoveError like `make_move`.

    Each row has its name and the values to set, for the same columns in all rows. The rows must also meet
    `conditions`, which are always the same objects for a move.
    """
    columns = move.columns()
    changes = [{**of(name), **columns, **values} for name, values in rows]
    if pipeline.queues(connection):
        for change in changes:
            pipeline.later(connection, change_of(table, move, *conditions), change, required=True)
        return
    changed = connection.execute(change_of(table, move, *conditions), changes)
    if changed.rowcount == len(rows):
        return
    for name, _ in rows:
        row = connection.execute(_status_of(table), of(name)).one()
        if any(getattr(row, column) != value for column, value in move.to.items()):
            raise IllegalMoveError(name, _STATUS[table.name](*row), move.event)


def _change(table: sa.Table, move: Move[Any], conditions: Sequence[sa.ColumnElement[bool]]) -> sa.Update:
    """Like `change_of`, for conditions that are built for each call."""
    change = change_of(table, move)
    return change.where(*conditions) if conditions else change


@cache
def change_of(table: sa.Table, move: Move[Any], *conditions: sa.ColumnElement[bool]) -> sa.Update:
    """Returns the update of the row that `of(name)` selects, if its status is a source of the move.

    The row must also meet `conditions`.

    The statement is built once, because building it costs more than running it.
    """
    columns = _status_columns(table)
    # Not IN with a list of values: it could not change many rows with one statement.
    legal = sa.or_(
        *(
            sa.and_(*(column == int(value) for column, value in zip(columns, status, strict=True)))
            for status in sorted(move.sources)
        )
    )
    return sa.update(table).where(*this(table), legal, *conditions)


@cache
def _status_of(table: sa.Table) -> sa.Select[Any]:
    return sa.select(*_status_columns(table)).where(*this(table))


def _status_columns(table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in ("state", "merge_state") if name in table.c]


def _run_status(state: Any, merge_state: int) -> RunStatus:
    return RunStatus(state, MergeState(merge_state))


def _epic_status(state: Any, merge_state: int) -> EpicStatus:
    return EpicStatus(state, MergeState(merge_state))


_STATUS: dict[str, Any] = {
    "runs": _run_status,
    "epics": _epic_status,
    "tasks": TaskStatus,
    "attempts": AttemptStatus,
}
