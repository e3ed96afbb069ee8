"""Stores the results of mutations by request_id, so that a repeated mutation runs once."""

import hashlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity.principals import Call
from scheduler_svc.store.db.tables import requests
from scheduler_svc.store.rows.callers import audit


def once(
    connection: sa.Connection, request: Any, work: Callable[[sa.Connection], object], call: Call, now: int
) -> str:
    """Runs a mutation, unless a request with its request_id already did; returns the resource.

    `work` returns the resource. The audit log gets an entry for `call`. Raises REQUEST_ID_REUSED if another request had the same id.
    """
    made = recall(connection, request.request_id, request)
    if made is None:
        made = str(work(connection))
        remember(connection, request.request_id, request, made, now)
        audit.record(connection, call, made, request.request_id, now)
    return made


def recall(connection: sa.Connection, request_id: str, request: Message) -> str | None:
    """Returns the resource that this request already created; None if it is new or has no id.

    Raises REQUEST_ID_REUSED if another request had the same id.
    """
    if not request_id:
        return None
    row = connection.execute(sa.select(requests).where(requests.c.request_id == request_id)).one_or_none()
    if row is None:
        return None
    if row.hash != _hash(request):
        raise reused(request_id, row.resource)
    return str(row.resource)


def reused(request_id: str, resource: str) -> HeddleError:
    """Returns the error for an id that an earlier, different request about `resource` had."""
    return HeddleError(
        pb.ERROR_REASON_REQUEST_ID_REUSED,
        f"request_id {request_id!r} was used before with another request; take a new one",
        resource=resource,
    )


def remember(
    connection: sa.Connection, request_id: str, request: Message, resource: object, now: int
) -> None:
    """Stores the resource of a request, in the transaction of its mutation."""
    if request_id:
        row = {
            "request_id": request_id,
            "hash": _hash(request),
            "resource": str(resource),
            "created_at": now,
        }
        connection.execute(sa.insert(requests), row)


def _hash(request: Message) -> bytes:
    content = request.SerializeToString(deterministic=True)
    return hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\0" + content).digest()
