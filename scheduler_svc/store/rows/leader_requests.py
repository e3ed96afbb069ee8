"""What a replica asks of whoever leads: written down here, done once, its end read from here."""

import uuid
from dataclasses import dataclass
from typing import Any

import grpc
import sqlalchemy as sa
from google.protobuf.message import Message
from google.rpc import status_pb2

from heddle.errors import HeddleError, from_status, to_status
from scheduler_svc.store.db.tables import errands
from scheduler_svc.store.rows.requests import reused


@dataclass(frozen=True)
class Errand:
    """One request that only the leader can do."""

    id: str
    # The name of the request's message.
    method: str
    request: bytes
    # When it was written down first; microseconds.
    asked: int


def topic(errand: str) -> str:
    """Returns what is rung at the errand's end."""
    return f"errands/{errand}"


def new_id(request: Any) -> str:
    """Returns the request's own id, or one that nobody else has."""
    return request.request_id or uuid.uuid4().hex


def enter(connection: sa.Connection, errand: str, request: Message, now: int) -> None:
    """Writes a request down, once, or again where something was away; raises REQUEST_ID_REUSED if its id came with another one."""
    method, content = type(request).__name__, request.SerializeToString(deterministic=True)
    known = connection.execute(sa.select(errands).where(errands.c.id == errand)).one_or_none()
    if known is None:
        row = {"id": errand, "method": method, "request": content, "created_at": now}
        connection.execute(sa.insert(errands), row)
        return
    if (known.method, known.request) != (method, content):
        raise reused(errand, errand)
    error = _error(known)
    if error and error.code is grpc.StatusCode.UNAVAILABLE:
        again = {"ended_at": None, "error": None}
        connection.execute(sa.update(errands).where(errands.c.id == errand).values(**again))


def read_open(connection: sa.Connection) -> list[Errand]:
    """Returns what is still to be done, the oldest first."""
    chosen = sa.select(errands.c.id, errands.c.method, errands.c.request, errands.c.created_at)
    chosen = chosen.where(errands.c.ended_at.is_(None))
    return [Errand(*row) for row in connection.execute(chosen.order_by(errands.c.created_at, errands.c.id))]


def read_answer(connection: sa.Connection, errand: str) -> bytes | None:
    """Returns what came of it; None while it is not done. Raises what it ended with."""
    row = connection.execute(sa.select(errands).where(errands.c.id == errand)).one()
    if error := _error(row):
        raise error
    return row.answer if row.ended_at else None


def end_errand(connection: sa.Connection, errand: str, ended: Message | HeddleError, now: int) -> None:
    """Writes down what came of it: an answer, or the error that its caller gets."""
    if isinstance(ended, HeddleError):
        values = {"error": to_status(ended).SerializeToString()}
    else:
        values = {"answer": ended.SerializeToString()}
    change = sa.update(errands).where(errands.c.id == errand, errands.c.ended_at.is_(None))
    connection.execute(change.values(ended_at=now, **values))


def _error(row: sa.Row[Any]) -> HeddleError | None:
    return from_status(status_pb2.Status.FromString(row.error)) if row.error else None


def forget_errands(connection: sa.Connection, before: int) -> None:
    """Removes those that ended before a time: nobody asks again any more."""
    connection.execute(sa.delete(errands).where(errands.c.ended_at < before))
