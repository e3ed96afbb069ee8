"""What an operator may ask of a run, a task or an attempt. Each is one function of a transaction."""

from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, not_found
from heddle.names import AttemptName, RunName, TaskName
from scheduler_svc.acting import stop_attempt
from scheduler_svc.states import ENDED_EPIC, ENDED_RUN, MergeState
from scheduler_svc.store.events import append, event
from scheduler_svc.store.resources import get_attempt, get_run, get_task, is_epic, is_task
from scheduler_svc.store.tables import epics, runs, tasks


def wrong_state(name: object, state: str, advice: str) -> HeddleError:
    """Returns the error for something that a resource's state does not allow."""
    word = state.partition("_STATE_")[2].lower()
    return HeddleError(pb.ERROR_REASON_WRONG_STATE, f"{name} is {word}: {advice}", state=state)


def pause_run(connection: sa.Connection, name: RunName, actor: str, now: int) -> pb.Run:
    """Keeps new tasks from starting."""
    state = _run_state(connection, name)
    if state in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}:
        _set_run(connection, name, state=pb.RUN_STATE_PAUSED)
        append(connection, [event(name, actor, run_paused=pb.RunPaused())], now)
    elif state != pb.RUN_STATE_PAUSED:
        raise wrong_state(name, pb.RunState.Name(state), "only a run that goes on can be paused")
    return get_run(connection, name)


def resume_run(connection: sa.Connection, name: RunName, actor: str, now: int) -> pb.Run:
    """Undoes pause_run."""
    state = _run_state(connection, name)
    if state == pb.RUN_STATE_PAUSED:
        started = get_run(connection, name).HasField("start_time")
        _set_run(connection, name, state=pb.RUN_STATE_RUNNING if started else pb.RUN_STATE_PENDING)
        append(connection, [event(name, actor, run_resumed=pb.RunResumed())], now)
    elif state not in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}:
        raise wrong_state(name, pb.RunState.Name(state), "only a paused run can be resumed")
    return get_run(connection, name)


def cancel_run(connection: sa.Connection, name: RunName, actor: str) -> None:
    """Has the loop stop everything of the run; it ends when that is done."""
    state = _run_state(connection, name)
    if state in {pb.RUN_STATE_CANCELLING, pb.RUN_STATE_CANCELLED}:
        return
    if state in ENDED_RUN:
        raise wrong_state(name, pb.RunState.Name(state), "there is nothing to cancel")
    _set_run(connection, name, state=pb.RUN_STATE_CANCELLING, reason=f"cancelled by {actor}")


def stop(connection: sa.Connection, name: AttemptName, actor: str) -> pb.Attempt:
    """Has the loop stop a live attempt; one that has ended is returned as it is."""
    get_attempt(connection, name)
    stop_attempt(connection, name, f"stopped by {actor}")
    return get_attempt(connection, name)


def retry_task(connection: sa.Connection, name: TaskName, actor: str, now: int) -> pb.Task:
    """Puts a failed or skipped task back; reopens its epic and its run where they had ended."""
    task = get_task(connection, name)
    if task.state not in {pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED}:
        advice = "only a failed or skipped task can be retried"
        raise wrong_state(name, pb.TaskState.Name(task.state), advice)
    state = _run_state(connection, name.parent.parent)
    if state == pb.RUN_STATE_CANCELLING:
        advice = "wait until its processes are gone, then retry"
        raise wrong_state(name.parent.parent, pb.RunState.Name(state), advice)
    if _epic(connection, name).merge_state == MergeState.MERGING:
        advice = "wait until the merge is done, then retry"
        raise wrong_state(name.parent, pb.EpicState.Name(pb.EPIC_STATE_MERGING), advice)
    pending = {"state": pb.TASK_STATE_PENDING, "reason": ""}
    connection.execute(sa.update(tasks).where(*is_task(name)).values(**pending))
    events = []
    if state in ENDED_RUN:
        reopened = {"state": pb.RUN_STATE_RUNNING, "reason": "", "ended_at": None}
        _set_run(connection, name.parent.parent, **reopened, merge_state=MergeState.NONE)
        events.append(event(name.parent.parent, actor, run_resumed=pb.RunResumed()))
    _reopen_epic(connection, name)
    events.append(event(name, actor, epic_ready=pb.EpicReady()))
    append(connection, events, now)
    return get_task(connection, name)


def _epic(connection: sa.Connection, name: TaskName) -> Any:
    chosen = sa.select(epics.c.state, epics.c.merge_state, epics.c.started_at).where(*is_epic(name.parent))
    return connection.execute(chosen).one()


def _reopen_epic(connection: sa.Connection, name: TaskName) -> None:
    """Lets an epic that ended, or is merged, go on; what it will have then is merged again."""
    epic = _epic(connection, name)
    if epic.state not in ENDED_EPIC and epic.merge_state != MergeState.MERGED:
        return
    # One that never started may still wait for a dependency: the policy looks.
    state = pb.EPIC_STATE_BLOCKED if epic.started_at is None else pb.EPIC_STATE_RUNNING
    values = {
        "state": state,
        "reason": "",
        "ended_at": None,
        "merge_state": MergeState.NONE,
        "conflict": None,
    }
    connection.execute(sa.update(epics).where(*is_epic(name.parent)).values(**values))


def _run_state(connection: sa.Connection, name: RunName) -> "pb.RunState.ValueType":
    state = connection.execute(sa.select(runs.c.state).where(runs.c.run == name.run)).scalar_one_or_none()
    if state is None:
        raise not_found(name)
    return pb.RunState.ValueType(state)


def _set_run(connection: sa.Connection, name: RunName, **values: object) -> None:
    connection.execute(sa.update(runs).where(runs.c.run == name.run).values(**values))
