"""Reopens ended runs and epics. All reopening by an operator goes through this module."""

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import epic_row, epic_status, run_row
from scheduler_svc.store.rows import epics, runs, tasks


def reopen_run(connection: Connection, name: RunName, actor: str, now: int) -> None:
    """Reopens an ended run; raises NOT_FOUND, and WRONG_STATE while the run is being cancelled."""
    check_not_cancelling(connection, name)
    runs.reopen(connection, name, actor, now)


def reopen_task(connection: Connection, name: TaskName, actor: str, now: int) -> None:
    """Reopens the task's epic and run if necessary, so that the epic runs the task."""
    _reopen(connection, name.parent, actor, now)
    append(connection, [event(name, actor, epic_ready=pb.EpicReady())], now)


def reopen_epic(connection: Connection, name: EpicName, actor: str, now: int) -> None:
    """Reopens the epic and its run if necessary, so that the epic continues without a task that was skipped."""
    _reopen(connection, name, actor, now)
    append(connection, [event(name, actor, epic_ready=pb.EpicReady())], now)


def _reopen(connection: Connection, epic: EpicName, actor: str, now: int) -> None:
    set_up_again(connection, epic, actor, now)
    runs.reopen(connection, epic.parent, actor, now)
    if is_closed(connection, epic):
        started = epic_row(connection, epic).started_at is not None
        epics.move(connection, epic, transitions.EPIC_REOPEN if started else transitions.EPIC_REOPEN_BLOCKED)


def is_closed(connection: Connection, name: EpicName) -> bool:
    """Returns whether an epic runs no more tasks: it has ended, is merged, conflicts, or awaits its merge."""
    return transitions.is_closed(epic_status(connection, name))


def check_reopenable(connection: Connection, name: EpicName) -> "pb.RunState.ValueType":
    """Returns the run's state; raises WRONG_STATE while the run is cancelling or the epic is merging."""
    state = check_not_cancelling(connection, name.parent)
    if epic_status(connection, name).merge_state == MergeState.MERGING:
        advice = "wait until the merge is done, then try again"
        raise wrong_state(name, pb.EpicState.Name(pb.EPIC_STATE_MERGING), advice)
    return state


def set_up_again(connection: Connection, name: EpicName, actor: str, now: int) -> None:
    """Allows another try of the epic's failed setup, and of the tasks that were skipped because of it."""
    if epics.clear_setup_failure(connection, name):
        put_back(connection, name, actor, now)


def put_back(connection: Connection, name: EpicName, actor: str, now: int) -> None:
    """Makes the tasks of an epic pending that did not run because of a failure; each has an event."""
    found = tasks.put_back(connection, name)
    append(connection, [event(name.task(key), actor, epic_ready=pb.EpicReady()) for key in found], now)


def check_not_cancelling(connection: Connection, name: RunName) -> "pb.RunState.ValueType":
    """Returns the run's state; raises NOT_FOUND, and WRONG_STATE while the run is cancelling."""
    state = pb.RunState.ValueType(run_row(connection, name).state)
    if state == pb.RUN_STATE_CANCELLING:
        advice = "wait until its processes are gone, then try again"
        raise wrong_state(name, pb.RunState.Name(state), advice)
    return state
