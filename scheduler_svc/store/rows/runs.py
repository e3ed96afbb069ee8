"""Writes the rows of runs. Each function writes one run and returns whether anything has changed."""

from collections.abc import Mapping

import sqlalchemy as sa

from heddle import pb
from heddle.names import RunName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, MergeState
from scheduler_svc.model.lifecycle.status import Move, RunStatus
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.statements import of, this
from scheduler_svc.store.db.tables import epics, runs
from scheduler_svc.store.rows.moves import change_of, make_move, move_seen, try_move

_CHANGE = sa.update(runs).where(*this(runs))


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
    """Makes a move and also sets `values`; raises IllegalMoveError."""
    make_move(connection, runs, name, made, now=now, **values)


def try_to(
    connection: sa.Connection,
    name: RunName,
    made: Move[RunStatus],
    *,
    now: int | None = None,
    **values: object,
) -> bool:
    """Makes a move and also sets `values`; returns False and writes nothing if the run does not allow it."""
    return try_move(connection, runs, name, made, now=now, **values)


def change(connection: sa.Connection, name: RunName, **values: object) -> None:
    """Sets columns that are not part of the status."""
    pipeline.later(connection, _CHANGE, of(name) | values)


def try_change(connection: sa.Connection, name: RunName, **values: object) -> bool:
    """Sets columns that are not part of the status; returns False if the run does not exist."""
    return bool(connection.execute(_CHANGE, of(name) | values).rowcount)


def start(connection: sa.Connection, name: RunName, now: int) -> bool:
    """Starts a run that was read as pending; like `move_seen`."""
    return move_seen(connection, runs, name, transitions.RUN_START, now=now)


def reopen(connection: sa.Connection, name: RunName, actor: str, now: int) -> None:
    """Reopens an ended run and adds the event; does nothing if the run has not ended."""
    if try_to(connection, name, transitions.RUN_REOPEN):
        append(connection, [event(name, actor, run_resumed=pb.RunResumed())], now)


def merge(connection: sa.Connection, name: RunName) -> str | None:
    """Starts the run's merge if all epics have ended; returns the target branch, None if it did not start."""
    begin = change_of(runs, transitions.RUN_MERGE).where(~_has_open_epics(name)).returning(runs.c.merge_into)
    made = connection.execute(begin, of(name) | transitions.RUN_MERGE.columns())
    target: str | None = made.scalar_one_or_none()
    return target


def finish(
    connection: sa.Connection, name: RunName, state: "pb.RunState.ValueType", reason: str, now: int
) -> bool:
    """Ends the run if all epics have ended. An empty `reason` keeps the reason for a cancellation."""
    values = {"reason": reason} if reason else {}
    ending = transitions.RUN_FINISH[state]
    return try_move(connection, runs, name, ending, ~_has_open_epics(name), now=now, **values)


def hold_merge(connection: sa.Connection, name: RunName, problem: str) -> bool:
    """Records what the run's merge waits for; returns False if already recorded or no merge is in progress."""
    waits = _CHANGE.where(runs.c.merge_state == MergeState.MERGING, runs.c.merge_hold != problem)
    return bool(connection.execute(waits, of(name) | {"merge_hold": problem}).rowcount)


def note_wait(connection: sa.Connection, name: RunName, reason: str) -> bool:
    """Records which worker the run waits for; returns False if already recorded or the run has ended."""
    waits = _CHANGE.where(runs.c.ended_at.is_(None), runs.c.waits_for != reason)
    return bool(connection.execute(waits, of(name) | {"waits_for": reason}).rowcount)


def move_home(connection: sa.Connection, name: RunName, worker: str) -> str | None:
    """Makes another worker merge the run's epics; returns the one before, None if the run has ended or it is the same."""
    chosen = sa.select(runs.c.worker).where(*this(runs), runs.c.ended_at.is_(None), runs.c.worker != worker)
    before = connection.execute(chosen, of(name)).scalar_one_or_none()
    if before is not None:
        change(connection, name, worker=worker)
    return before


def _has_open_epics(name: RunName) -> sa.ColumnElement[bool]:
    open_epics = sa.select(epics.c.epic).where(epics.c.run == name.run, epics.c.state.not_in(ENDED_EPIC))
    return open_epics.exists()
