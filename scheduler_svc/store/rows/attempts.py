"""Writes the rows of attempts."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.model.lifecycle.status import AttemptStatus, Move
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.statements import of, this
from scheduler_svc.store.db.tables import attempts
from scheduler_svc.store.rows.moves import make_move, make_moves

_CHANGE = sa.update(attempts).where(*this(attempts))
_STOP = _CHANGE.where(attempts.c.ended_at.is_(None), attempts.c.stop_reason.is_(None))
_UNREPORTED = (attempts.c.state == pb.ATTEMPT_STATE_STARTING, attempts.c.record == b"")
_INSERT = sa.insert(attempts)


def insert(
    connection: sa.Connection,
    name: AttemptName,
    worker: str,
    agent: str,
    *,
    share: int | None,
    now: int,
    review: pb.Review | None = None,
    takes_over: str = "",
) -> None:
    """Adds an attempt that starts now; its session may spend `share` micros, or any amount if None.

    `review`: what it reviews. None: it works on its task. `takes_over`: the attempt whose work it takes over; empty:
    none.
    """
    row = {
        **name._asdict(),
        "state": pb.ATTEMPT_STATE_STARTING,
        "worker": worker,
        "agent": agent,
        "share_micros": share,
        "started_at": now,
        "summary": b"",
        "usage": b"",
        "record": pb.Attempt(review=review, takes_over=takes_over).SerializeToString(),
    }
    pipeline.later(connection, _INSERT, row)


def move(
    connection: sa.Connection,
    name: AttemptName,
    made: Move[AttemptStatus],
    *,
    now: int | None = None,
    **values: object,
) -> None:
    """Makes a move and also sets `values`; raises IllegalMoveError."""
    make_move(connection, attempts, name, made, now=now, **values)


def move_all(
    connection: sa.Connection,
    made: Move[AttemptStatus],
    rows: Sequence[tuple[AttemptName, Mapping[str, object]]],
    *,
    unreported: bool = False,
) -> None:
    """Makes a move of many attempts and also sets the values of each, in the same columns; raises IllegalMoveError.

    `unreported`: none of them may have reported anything before.
    """
    make_moves(connection, attempts, rows, made, *(_UNREPORTED if unreported else ()))


def change(connection: sa.Connection, name: AttemptName, **values: object) -> None:
    """Sets columns that are not part of the status."""
    pipeline.later(connection, _CHANGE, of(name) | values)


def ask_to_stop(connection: sa.Connection, name: AttemptName, reason: str, *, counts: bool = True) -> bool:
    """Records that a live attempt must stop, so that the leader stops it; returns False if already recorded.

    `counts` is whether the attempt uses up a retry of its task.
    """
    return bool(connection.execute(_STOP, of(name) | {"stop_reason": reason, "counts": counts}).rowcount)
