"""Stores who changed what, and which calls were refused. Rows are only added."""

import sqlalchemy as sa

from heddle import pb
from heddle.identity.principals import Call
from scheduler_svc.store.db.tables import audit
from scheduler_svc.store.db.times import timestamp


def record(
    connection: sa.Connection, call: Call, resource: object, request_id: str, now: int, *, refusal: str = ""
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
        )
        for row in connection.execute(chosen)
    ]
