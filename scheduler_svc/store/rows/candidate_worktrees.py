"""Writes and reads the rows of candidates' worktrees. Each name is that of an epic with a number, EPIC@N."""

from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.names import EpicName
from scheduler_svc.store.db.plan_tables import candidate_worktrees


def read(connection: sa.Connection, name: EpicName) -> sa.Row[Any] | None:
    """Returns the row of a worktree; None if there is none."""
    return connection.execute(sa.select(candidate_worktrees).where(*_is(name))).one_or_none()


def note(connection: sa.Connection, name: EpicName, worktree: pb.Worktree) -> bool:
    """Records the worktree and its lease; returns False if the path was already recorded."""
    values = {
        "worktree_path": worktree.path,
        "lease": worktree.lease.SerializeToString(deterministic=True),
    }
    known = read(connection, name)
    if known is None:
        row = {"run": name.run, "epic": name.whole.epic, "candidate": name.candidate, **values}
        connection.execute(sa.insert(candidate_worktrees), row)
        return True
    change(connection, name, **values)
    return bool(known.worktree_path != worktree.path)


def change(connection: sa.Connection, name: EpicName, **values: object) -> None:
    """Sets columns; does nothing if there is no such worktree."""
    connection.execute(sa.update(candidate_worktrees).where(*_is(name)).values(**values))


def remove(connection: sa.Connection, name: EpicName) -> bool:
    """Records that the worktree was removed; returns False if that was already recorded."""
    return bool(connection.execute(sa.delete(candidate_worktrees).where(*_is(name))).rowcount)


def _is(name: EpicName) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        candidate_worktrees.c.run == name.run,
        candidate_worktrees.c.epic == name.whole.epic,
        candidate_worktrees.c.candidate == name.candidate,
    )
