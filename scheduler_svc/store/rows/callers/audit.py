"""Stores who changed what, and which calls were refused. Rows are never changed, and removed only by age."""

from typing import Final

import sqlalchemy as sa

from heddle import pb
from heddle.identity.principals import Call
from scheduler_svc.store.db.tables import audit
from scheduler_svc.store.db.times import timestamp

# Rows that one transaction removes: all writes share one writer.
_AT_ONCE: Final = 500


def prune(connection: sa.Connection, before: int) -> bool:
    """Removes some of the entries of a time or earlier, the oldest first; returns whether more may be left."""
    oldest = sa.select(audit.c.sequence, audit.c.at).order_by(audit.c.sequence).limit(_AT_ONCE)
    expired = [row.sequence for row in connection.execute(oldest) if row.at <= before]
    if expired:
        connection.execute(sa.delete(audit).where(audit.c.sequence.in_(expired)))
    return len(expired) == _AT_ONCE


def record(
    connection: sa.Connection,
    call: Call,
    resource: object,
    request_id: str,
    now: int,
    *,
    refusal: str = "",
    detail: str = "",
) -> None:
    """Adds one entry, in the transaction of the change. `refusal` is the error of a call that was refused."""
    row = {
        "at": now,
        "user": call.principal.name,
        "method": call.method,
        "resource": str(resource),
        "request_id": request_id,
        "peer": call.peer,
        "refusal": refusal,
        "detail": detail,
    }
    connection.execute(sa.insert(audit), row)


def listed(connection: sa.Connection, *, before: int | None, user: str, size: int) -> list[pb.AuditEntry]:
    """Returns the newest entries below the sequence `before`, of one user unless `user` is empty."""
    chosen = sa.select(audit).order_by(audit.c.sequence.desc()).limit(size)
    if before:
        chosen = chosen.where(audit.c.sequence < before)
    if user:
        chosen = chosen.where(audit.c.user == user)
    return [
        pb.AuditEntry(
            sequence=row.sequence,
            time=timestamp(row.at),
            user=row.user,
            method=row.method,
            resource=row.resource,
            request_id=row.request_id,
            peer=row.peer,
            refusal=row.refusal,
            detail=row.detail,
        )
        for row in connection.execute(chosen)
    ]
