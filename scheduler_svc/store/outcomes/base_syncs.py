"""Writes what epics took in of the project's branch before an attempt. Every write is idempotent."""

from collections.abc import Sequence

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName
from scheduler_svc.model import base_sync
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.statements import LIVE_ATTEMPT, of, this
from scheduler_svc.store.db.tables import epics as epics_table
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.rows import attempts, epics, runs, tasks, usage_totals
from scheduler_svc.store.rows.usage_totals import Used

_SYNC = sa.select(epics_table.c.sync_state, epics_table.c.sync).where(*this(epics_table))
_BASE_STATE = sa.select(runs_table.c.base_state).where(*this(runs_table))


def record(
    connection: sa.Connection, attempt: AttemptName, branch: str, found: pb.BaseTakenIn, now: int
) -> None:
    """Records what the epic of an attempt took in of a branch; an event says so if it is new."""
    epic = attempt.parent.parent
    row = connection.execute(_SYNC, of(epic)).one()
    before = pb.EpicSync.FromString(row.sync or b"")
    finished = pb.SyncFinished(
        branch=branch,
        commit=found.commit,
        commit_count=found.commit_count,
        conflicts=found.conflicts,
        problem=found.problem,
    )
    if found.conflicts:
        # It is taken in once the attempt is accepted. Until then, each attempt meets the conflict again.
        if before.conflict_commit != found.commit:
            _change(connection, epic, before, branch=branch, conflict_commit=found.commit)
            append(connection, [event(attempt, "scheduler", sync_finished=finished)], now)
        return
    state = pb.SYNC_STATE_UNSPECIFIED if row.sync_state in base_sync.WANTED else row.sync_state
    values = {"commit": found.commit or before.commit, "problem": found.problem}
    known = (before.branch, before.commit, before.problem) == (branch, values["commit"], found.problem)
    if known and state == row.sync_state and not before.conflict_commit:
        return
    _change(connection, epic, before, state, branch=branch, conflict_commit="", **values)
    _caught_up(connection, epic, found.commit)
    if (found.commit_count and not known) or (found.problem and before.problem != found.problem):
        append(connection, [event(attempt, "scheduler", sync_finished=finished)], now)


def record_resolved(connection: sa.Connection, epic: EpicName) -> None:
    """Records that the epic took in the branch whose conflict the agent of an accepted attempt has resolved, if any."""
    row = connection.execute(_SYNC, of(epic)).one()
    before = pb.EpicSync.FromString(row.sync or b"")
    if not before.conflict_commit:
        return
    state = pb.SYNC_STATE_UNSPECIFIED if row.sync_state in base_sync.WANTED else row.sync_state
    _change(connection, epic, before, state, commit=before.conflict_commit, conflict_commit="", problem="")
    _caught_up(connection, epic, before.conflict_commit)


def hold(
    connection: sa.Connection,
    attempt: AttemptName,
    branch: str,
    *,
    commit: str,
    files: Sequence[str],
    reason: str,
    now: int,
) -> bool:
    """Ends a live attempt before its session, and starts no task of its epic until the operator decides.

    The attempt uses up no retry. Returns False and does nothing if the attempt was stopped.
    """
    row = connection.execute(LIVE_ATTEMPT, of(attempt)).one_or_none()
    if row is None:
        return True
    if row.stop_reason is not None:
        return False
    conflict = base_sync.conflict_of(reason)
    stopped = transitions.ATTEMPT_END[pb.ATTEMPT_STATE_STOPPED]
    attempts.move(connection, attempt, stopped, now=now, reason=conflict, counts=False)
    usage_totals.add(connection, [Used(attempt, row.usage, row.cost_micros, accepted=False)])
    tasks.move(connection, attempt.parent, transitions.TASK_HOLD, reason=conflict)
    epic = attempt.parent.parent
    before = pb.EpicSync.FromString(connection.execute(_SYNC, of(epic)).one().sync or b"")
    held = pb.EpicSync(
        branch=branch, commit=before.commit, conflict_files=files, conflict_commit=commit, reason=reason
    )
    epics.change(connection, epic, sync_state=pb.SYNC_STATE_HELD, sync=held.SerializeToString())
    conflicted = pb.SyncConflicted(branch=branch, commit=commit, files=files, reason=reason)
    failed = pb.TaskFailed(reason=conflict, will_retry=True)
    events = [
        event(attempt, "scheduler", task_failed=failed),
        event(attempt, "scheduler", sync_conflicted=conflicted),
    ]
    append(connection, events, now)
    return True


def _change(
    connection: sa.Connection, epic: EpicName, before: pb.EpicSync, state: int | None = None, **values: str
) -> None:
    after = pb.EpicSync()
    after.CopyFrom(before)
    for name, value in values.items():
        setattr(after, name, value)
    columns = {} if state is None else {"sync_state": state}
    epics.change(connection, epic, sync=after.SerializeToString(), **columns)


def _caught_up(connection: sa.Connection, epic: EpicName, commit: str) -> None:
    """Removes the epic from those that are behind, if it took in the newest commit that is known."""
    run = RunName(epic.run)
    stored = connection.execute(_BASE_STATE, of(run)).scalar_one()
    if not commit or not stored:
        return
    state = pb.BaseState.FromString(stored)
    if state.commit == commit and any(each.epic == epic.epic for each in state.behind):
        left = base_sync.without(state, [epic.epic])
        runs.change(connection, run, base_state=left.SerializeToString())
