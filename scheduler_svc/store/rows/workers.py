"""Stores which workers have registered themselves, and which are drained."""

import json
from collections.abc import Mapping

import sqlalchemy as sa

from scheduler_svc.policy.snapshot import Member
from scheduler_svc.store.db.tables import workers


def members(connection: sa.Connection, after: int) -> list[Member]:
    """Returns the workers that registered after a time, in microseconds, and those that are only known as drained."""
    rows = connection.execute(sa.select(workers).order_by(workers.c.worker)).all()
    return [
        Member(
            row.worker,
            row.worktree if (row.renewed_at or 0) > after else "",
            row.agent if (row.renewed_at or 0) > after else "",
            json.loads(row.labels),
            draining=row.draining,
            drained_by=row.drained_by,
            drained_at=row.drained_at or 0,
        )
        for row in rows
    ]


def register(connection: sa.Connection, member: Member, now: int) -> bool:
    """Stores or renews a registration; returns whether anything but its time has changed."""
    found = connection.execute(sa.select(workers).where(workers.c.worker == member.name)).one_or_none()
    values = {
        "worktree": member.worktree,
        "agent": member.agent,
        "labels": json.dumps(dict(member.labels), sort_keys=True),
    }
    _store(connection, member.name, values | {"renewed_at": now}, known=found is not None)
    return found is None or any(getattr(found, column) != value for column, value in values.items())


def leave(connection: sa.Connection, name: str) -> bool:
    """Removes the addresses of a worker that leaves; returns False if it was not registered."""
    chosen = sa.update(workers).where(workers.c.worker == name, workers.c.agent != "")
    return bool(connection.execute(chosen.values(worktree="", agent="")).rowcount)


def drain(connection: sa.Connection, name: str, *, draining: bool, actor: str, now: int) -> None:
    """Stores whether a worker is drained, and by whom. Who drained it first stays."""
    chosen = sa.select(workers.c.draining).where(workers.c.worker == name)
    row = connection.execute(chosen).one_or_none()
    if row is not None and row.draining == draining:
        return
    values = {
        "draining": draining,
        "drained_by": actor if draining else "",
        "drained_at": now if draining else None,
    }
    _store(connection, name, values, known=row is not None)


def _store(connection: sa.Connection, name: str, values: Mapping[str, object], *, known: bool) -> None:
    if known:
        connection.execute(sa.update(workers).where(workers.c.worker == name).values(**values))
    else:
        connection.execute(sa.insert(workers), {"worker": name, **values})
