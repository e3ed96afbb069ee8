"""Writes the rows of epics. Each function writes one epic and returns whether anything has changed."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from heddle import pb
from heddle.names import EpicName, RunName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import OPEN_TASK, MergeState
from scheduler_svc.model.lifecycle.status import EpicStatus, Move
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.statements import of, this
from scheduler_svc.store.db.tables import epics, tasks
from scheduler_svc.store.rows.moves import make_move, move_seen, try_move

_CHANGE = sa.update(epics).where(*this(epics))
_LOSE_PLACE = _CHANGE.where(epics.c.generation > 0).values(
    generation=epics.c.generation + 1, lease=None, set_up=""
)
_MERGES = epics.c.merge_state == MergeState.MERGING


def insert(connection: sa.Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Adds epics that have not started."""
    connection.execute(sa.insert(epics), [dict(row) for row in rows])


def move(
    connection: sa.Connection,
    name: EpicName,
    made: Move[EpicStatus],
    *,
    now: int | None = None,
    **values: object,
) -> None:
    """Makes a move and also sets `values`; raises IllegalMoveError."""
    make_move(connection, epics, name, made, now=now, **values)


def try_to(
    connection: sa.Connection,
    name: EpicName,
    made: Move[EpicStatus],
    *,
    now: int | None = None,
    **values: object,
) -> bool:
    """Makes a move and also sets `values`; returns False and writes nothing if the epic does not allow it."""
    return try_move(connection, epics, name, made, now=now, **values)


def close(
    connection: sa.Connection,
    name: EpicName,
    made: Move[EpicStatus],
    *,
    now: int | None = None,
    **values: object,
) -> bool:
    """Like `try_to`, for a move that requires all tasks of the epic to have ended."""
    return try_move(connection, epics, name, made, ~_has_open_tasks(name), now=now, **values)


def await_merge(connection: sa.Connection, name: EpicName) -> bool:
    """Makes the epic wait for the operator, unless a task is open or the operator has requested the merge."""
    waits = transitions.EPIC_AWAIT_MERGE
    return try_move(connection, epics, name, waits, ~epics.c.merge_wanted, ~_has_open_tasks(name))


def start(connection: sa.Connection, name: EpicName, now: int) -> bool:
    """Starts an epic that was read as ready; like `move_seen`."""
    return move_seen(connection, epics, name, transitions.EPIC_START, now=now)


def change(connection: sa.Connection, name: EpicName, **values: object) -> None:
    """Sets columns that are not part of the status."""
    pipeline.later(connection, _CHANGE, of(name) | values)


def try_change(connection: sa.Connection, name: EpicName, **values: object) -> bool:
    """Sets columns that are not part of the status; returns False if the epic does not exist."""
    return bool(connection.execute(_CHANGE, of(name) | values).rowcount)


def release_budgets(connection: sa.Connection, run: RunName) -> None:
    """Forgets which used-up budgets keep the run's epics from continuing; those that still do are found again."""
    held = sa.update(epics).where(epics.c.run == run.run, epics.c.budget_hold.is_not(None))
    connection.execute(held.values(budget_hold=None))


def change_unstarted(connection: sa.Connection, name: EpicName, **values: object) -> bool:
    """Sets columns that are not part of the status; returns False and writes nothing if the epic has started."""
    unstarted = _CHANGE.where(epics.c.started_at.is_(None))
    return bool(connection.execute(unstarted, of(name) | values).rowcount)


def delete_unstarted(connection: sa.Connection, name: EpicName) -> bool:
    """Removes an epic without tasks; returns False and changes nothing if it has started."""
    chosen = sa.delete(epics).where(*this(epics), epics.c.started_at.is_(None))
    return bool(connection.execute(chosen, of(name)).rowcount)


def clear_setup_failure(connection: sa.Connection, name: EpicName) -> bool:
    """Allows another try of the epic's setup; returns False if the setup has not failed."""
    failed = _CHANGE.where(epics.c.setup_failure != "")
    return bool(connection.execute(failed, of(name) | {"setup_failure": ""}).rowcount)


def note_worktree(connection: sa.Connection, name: EpicName, worktree: pb.Worktree) -> bool:
    """Records the epic's worktree and its lease; returns False if the path was already recorded."""
    lease = worktree.lease.SerializeToString(deterministic=True)
    change(connection, name, lease=lease, restored_at=None)
    moved = _CHANGE.where(epics.c.worktree_path != worktree.path)
    if not connection.execute(moved, of(name) | {"worktree_path": worktree.path}).rowcount:
        return False
    new = _CHANGE.where(epics.c.start_commit == "")
    connection.execute(new, of(name) | {"start_commit": worktree.head_commit})
    return True


def place(connection: sa.Connection, name: EpicName, worker: str, generation: int, **values: object) -> None:
    """Makes a worker the epic's place, where it has no worktree yet, and also sets `values`."""
    new = {"worktree_path": "", "lease": None, "set_up": "", "restored_at": None, "waits_for": ""}
    change(connection, name, worker=worker, generation=generation, **new, **values)


def note_wait(connection: sa.Connection, name: EpicName, reason: str) -> bool:
    """Records what place the epic waits for; returns False if already recorded or the epic has ended."""
    waits = _CHANGE.where(epics.c.ended_at.is_(None), epics.c.waits_for != reason)
    return bool(connection.execute(waits, of(name) | {"waits_for": reason}).rowcount)


def skip_place(connection: sa.Connection, name: EpicName, generation: int) -> None:
    """Records that this number of a place is used, although the epic did not get it."""
    earlier = _CHANGE.where(epics.c.generation < generation)
    connection.execute(earlier, of(name) | {"generation": generation})


def lose_place(connection: sa.Connection, name: EpicName) -> None:
    """Records that nothing of the epic's place may be accepted any more, whichever worker is its next place."""
    connection.execute(_LOSE_PLACE, of(name))


def leave_claims(connection: sa.Connection, run: RunName) -> None:
    """Has each placed epic of a run take a new claim before it continues, also on the same worker."""
    placed = sa.update(epics).where(epics.c.run == run.run, epics.c.generation > 0)
    connection.execute(placed.values(generation=epics.c.generation + 1))


def stay(connection: sa.Connection, name: EpicName) -> None:
    """Makes the epic stay where its run is."""
    place(connection, name, "", 0)


def release_worktree(connection: sa.Connection, name: EpicName, path: str) -> None:
    """Records that a worktree which stays was torn down: setup must run in it before its next use."""
    at_path = _CHANGE.where(epics.c.worktree_path == path)
    connection.execute(at_path, of(name) | {"lease": None, "set_up": ""})


def remove_worktree(connection: sa.Connection, name: EpicName, path: str, archived: str, now: int) -> bool:
    """Records that the worktree was removed, and its archive commit; returns False if it was not at `path`."""
    new = _CHANGE.where(epics.c.archive_commit != archived)
    connection.execute(new, of(name) | {"archive_commit": archived, "archived_at": now})
    at_path = _CHANGE.where(epics.c.worktree_path == path)
    gone = {"worktree_path": "", "lease": None, "restored_at": None}
    return bool(path and connection.execute(at_path, of(name) | gone).rowcount)


def restore_worktree(connection: sa.Connection, name: EpicName, path: str, now: int) -> bool:
    """Records that the epic's worktree was restored; returns False if already recorded."""
    moved = _CHANGE.where(epics.c.worktree_path != path)
    values = {"worktree_path": path, "lease": None, "set_up": "", "restored_at": now}
    return bool(connection.execute(moved, of(name) | values).rowcount)


def give_merge_reason(connection: sa.Connection, name: EpicName, reason: str) -> None:
    """Records why the epic's merge waits; does nothing if no merge is in progress."""
    connection.execute(_CHANGE.where(_MERGES), of(name) | {"reason": reason})


def hold_merge(connection: sa.Connection, name: EpicName, problem: str) -> bool:
    """Records what the epic's merge waits for; returns False if already recorded or no merge is in progress."""
    waits = _CHANGE.where(_MERGES, epics.c.merge_hold != problem)
    return bool(connection.execute(waits, of(name) | {"merge_hold": problem}).rowcount)


def conflicts(connection: sa.Connection, name: EpicName) -> bool:
    """Returns whether the epic is open and conflicts, and all of its tasks have ended."""
    chosen = sa.select(epics.c.epic).where(
        *this(epics),
        epics.c.state == pb.EPIC_STATE_MERGING,
        epics.c.merge_state == MergeState.CONFLICTED,
        ~_has_open_tasks(name),
    )
    return connection.execute(chosen, of(name)).one_or_none() is not None


def _has_open_tasks(name: EpicName) -> sa.ColumnElement[bool]:
    return (
        sa.select(tasks.c.task)
        .where(tasks.c.run == name.run, tasks.c.epic == name.epic, tasks.c.state.in_(OPEN_TASK))
        .exists()
    )
