"""Writes the rows of runs. Each function writes one run and returns whether anything has changed."""

from collections.abc import Mapping

import sqlalchemy as sa

from heddle import pb
from heddle.names import RunName
from scheduler_svc.model import transitions
from scheduler_svc.model.states import ENDED_EPIC, MergeState
from scheduler_svc.model.status import Move, RunStatus
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.statements import of
from scheduler_svc.store.db.tables import epics, runs
from scheduler_svc.store.rows.moves import change_of, make_move, try_move

_CHANGE = sa.update(runs).where(runs.c.run == sa.bindparam("of_run"))


def insert(connection: sa.Connection, row: Mapping[str, object]) -> None:
    """Adds a run that has not started."""
    connection.execute(sa.insert(runs), dict(row))


def move(
    connection: sa.Connection,
    name: RunName,
    made: Move[RunStatus],
    *,
    now: int | None = None,
    **values: object,
) -> None:
    """Makes a move and sets `values` too; raises IllegalMoveError."""
    make_move(connection, runs, name, made, now=now, **values)


def try_to(
    connection: sa.Connection,
    name: RunName,
    made: Move[RunStatus],
    *,
    now: int | None = None,
    **values: object,
) -> bool:
    """Makes a move and sets `values` too; False, and nothing is written, where the run does not allow it."""
    return try_move(connection, runs, name, made, now=now, **values)


def change(connection: sa.Connection, name: RunName, **values: object) -> bool:
    """Sets columns that are not of its status; False where there is no such run."""
    return bool(connection.execute(_CHANGE, of(name) | values).rowcount)


def reopen(connection: sa.Connection, name: RunName, actor: str, now: int) -> None:
    """Has an ended run continue, with the event that says so; does nothing to one that has not ended."""
    if try_to(connection, name, transitions.RUN_REOPEN):
        append(connection, [event(name, actor, run_resumed=pb.RunResumed())], now)


def merge(connection: sa.Connection, name: RunName) -> str | None:
    """Notes that its merge has begun, once all epics have ended; returns the branch that it goes into, None if not."""
    begin = change_of(runs, transitions.RUN_MERGE).where(~_has_open_epics(name)).returning(runs.c.merge_into)
    made = connection.execute(begin, of(name) | transitions.RUN_MERGE.columns())
    target: str | None = made.scalar_one_or_none()
    return target


def finish(
    connection: sa.Connection, name: RunName, state: "pb.RunState.ValueType", reason: str, now: int
) -> bool:
    """Ends it, once all epics have ended. An empty `reason` leaves that of a cancellation."""
    values = {"reason": reason} if reason else {}
    ending = transitions.RUN_FINISH[state]
    return try_move(connection, runs, name, ending, ~_has_open_epics(name), now=now, **values)


def hold_merge(connection: sa.Connection, name: RunName, problem: str) -> bool:
    """Notes what its merge waits for; False where that is known, or no merge is in progress."""
    waits = _CHANGE.where(runs.c.merge_state == MergeState.MERGING, runs.c.merge_hold != problem)
    return bool(connection.execute(waits, of(name) | {"merge_hold": problem}).rowcount)


def _has_open_epics(name: RunName) -> sa.ColumnElement[bool]:
    open_epics = sa.select(epics.c.epic).where(epics.c.run == name.run, epics.c.state.not_in(ENDED_EPIC))
    return open_epics.exists()
