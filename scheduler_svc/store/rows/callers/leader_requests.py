"""Stores requests of replicas to the leader, each executed once, and the answers that the replicas read."""

import uuid
from dataclasses import dataclass
from typing import Any, Final

import grpc
import sqlalchemy as sa
from google.protobuf.message import Message
from google.rpc import status_pb2

from heddle.errors import HeddleError, from_status, to_status
from heddle.identity.principals import Call
from scheduler_svc.store.db.tables import leader_requests
from scheduler_svc.store.rows.callers import audit
from scheduler_svc.store.rows.callers.requests import reused


@dataclass(frozen=True)
class LeaderRequest:
    """A request that only the leader can execute."""

    id: str
    # The message name of the request.
    method: str
    request: bytes
    # The caller, for the events' actor.
    actor: str
    # When it was first stored, in microseconds.
    asked: int


def topic(request_id: str) -> str:
    """Returns the topic that is rung when the request has ended."""
    return f"leader_requests/{request_id}"


def new_id(request: Any) -> str:
    """Returns the request's own id, or a new one."""
    return request.request_id or uuid.uuid4().hex


def enter(connection: sa.Connection, request_id: str, request: Message, call: Call, now: int) -> None:
    """Stores a request once; reopens it if it failed with UNAVAILABLE. The audit log gets an entry for `call`.

    Raises REQUEST_ID_REUSED if another request had the same id.
    """
    method, content = type(request).__name__, request.SerializeToString(deterministic=True)
    known = connection.execute(
        sa.select(leader_requests).where(leader_requests.c.id == request_id)
    ).one_or_none()
    if known is None:
        row = {
            "id": request_id,
            "method": method,
            "request": content,
            "actor": call.principal.name,
            "created_at": now,
        }
        connection.execute(sa.insert(leader_requests), row)
        audit.record(connection, call, getattr(request, "name", ""), request_id, now)
        return
    if (known.method, known.request) != (method, content):
        raise reused(request_id, request_id)
    error = _error(known)
    if error and error.code is grpc.StatusCode.UNAVAILABLE:
        again = {"ended_at": None, "error": None}
        connection.execute(
            sa.update(leader_requests).where(leader_requests.c.id == request_id).values(**again)
        )


# The requests that have not ended, oldest first; each row has the fields of a LeaderRequest.
OPEN_REQUESTS: Final = (
    sa.select(
        leader_requests.c.id,
        leader_requests.c.method,
        leader_requests.c.request,
        leader_requests.c.actor,
        leader_requests.c.created_at,
    )
    .where(leader_requests.c.ended_at.is_(None))
    .order_by(leader_requests.c.created_at, leader_requests.c.id)
)


def read_answer(connection: sa.Connection, request_id: str) -> bytes | None:
    """Returns the answer, or None while there is none; raises the error that the request ended with."""
    row = connection.execute(sa.select(leader_requests).where(leader_requests.c.id == request_id)).one()
    if error := _error(row):
        raise error
    return row.answer if row.ended_at else None


def end_request(connection: sa.Connection, request_id: str, ended: Message | HeddleError, now: int) -> None:
    """Stores the result of a request: the answer, or the error for its caller."""
    if isinstance(ended, HeddleError):
        values = {"error": to_status(ended).SerializeToString()}
    else:
        values = {"answer": ended.SerializeToString()}
    change = sa.update(leader_requests).where(
        leader_requests.c.id == request_id, leader_requests.c.ended_at.is_(None)
    )
    connection.execute(change.values(ended_at=now, **values))


def _error(row: sa.Row[Any]) -> HeddleError | None:
    return from_status(status_pb2.Status.FromString(row.error)) if row.error else None


def forget_requests(connection: sa.Connection, before: int) -> None:
    """Removes the requests that ended before a time: their results are no longer needed."""
    connection.execute(sa.delete(leader_requests).where(leader_requests.c.ended_at < before))
