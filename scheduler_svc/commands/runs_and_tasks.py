"""What an operator may ask of a run, a task or an attempt. Each is one function of a transaction."""

from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, invalid_field, not_found
from heddle.names import AttemptName, EpicName, RunName, TaskName
from heddle.plan.rules import SCRIPTED
from scheduler_svc.commands.apply_action import stop_attempt
from scheduler_svc.commands.budgets import NewBudget, set_budget
from scheduler_svc.model.states import ENDED_EPIC, ENDED_RUN, MergeState
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.tables import epics, runs, tasks
from scheduler_svc.store.queries.resources import get_attempt, get_run, get_task, is_epic, is_task
from scheduler_svc.store.rows import parked_sessions
from scheduler_svc.store.rows.provider_outages import end_hold

_NO_RETRY: Final = {
    pb.TASK_STATE_PENDING: "it will run anyway",
    pb.TASK_STATE_RUNNING: "stop its attempt first, or wait for its end",
    pb.TASK_STATE_WAITING: "answer its question, or stop its attempt first",
    pb.TASK_STATE_ACCEPTED: (
        "later tasks build upon what is accepted; retry it with from_here (heddle retry --from-here) to set"
        " that aside too, or add a task with what is missing"
    ),
}
_NO_SKIP: Final = {
    pb.TASK_STATE_RUNNING: "stop its attempt first, then skip it",
    pb.TASK_STATE_WAITING: "stop its attempt first, then skip it",
    pb.TASK_STATE_ACCEPTED: "its commit is made and stays",
}


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


def resume_run(
    connection: sa.Connection, name: RunName, actor: str, now: int, *, budget: NewBudget | None = None
) -> pb.Run:
    """Lets a paused run go on; `budget` is set before, also on a run that is not paused."""
    state = _run_state(connection, name)
    if state not in {pb.RUN_STATE_PAUSED, pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}:
        raise wrong_state(name, pb.RunState.Name(state), "only a paused run can be resumed")
    if budget:
        set_budget(connection, budget)
    if state == pb.RUN_STATE_PAUSED:
        run = get_run(connection, name)
        if run.held_by:
            end_hold(connection, run.held_by, actor, now)
        going_on = pb.RUN_STATE_RUNNING if run.HasField("start_time") else pb.RUN_STATE_PENDING
        _set_run(connection, name, state=going_on, reason="", held_by="")
    if budget:
        resumed = pb.RunResumed(budget_usd_micros=budget.micros)
        append(connection, [event(budget.name, actor, run_resumed=resumed)], now)
    elif state == pb.RUN_STATE_PAUSED:
        append(connection, [event(name, actor, run_resumed=pb.RunResumed())], now)
    return get_run(connection, name)


def update_run(connection: sa.Connection, name: RunName, actor: str, max_parallel: int, now: int) -> pb.Run:
    """Changes the limit on the run's sessions; those that run go on."""
    state = _run_state(connection, name)
    if state in ENDED_RUN:
        raise wrong_state(name, pb.RunState.Name(state), "only a run that goes on can be changed")
    if get_run(connection, name).max_parallel != max_parallel:
        _set_run(connection, name, max_parallel=max_parallel)
        append(connection, [event(name, actor, run_updated=pb.RunUpdated(max_parallel=max_parallel))], now)
    return get_run(connection, name)


def cancel_run(connection: sa.Connection, name: RunName, actor: str) -> None:
    """Has the loop stop everything of the run; it ends when that is done."""
    state = _run_state(connection, name)
    if state in {pb.RUN_STATE_CANCELLING, pb.RUN_STATE_CANCELLED}:
        return
    if state in ENDED_RUN:
        raise wrong_state(name, pb.RunState.Name(state), "there is nothing to cancel")
    _set_run(connection, name, state=pb.RUN_STATE_CANCELLING, reason=f"cancelled by {actor}")


def stop(connection: sa.Connection, name: AttemptName, actor: str, now: int) -> pb.Attempt:
    """Has the loop stop a live attempt, ends the wait of a parked one; any other is returned as it is."""
    get_attempt(connection, name)
    reason = f"stopped by {actor}"
    if not parked_sessions.stop(connection, name, reason, now):
        stop_attempt(connection, name, reason)
    return get_attempt(connection, name)


def retry_task(
    connection: sa.Connection, name: TaskName, actor: str, agent: str, now: int, *, resume: bool = False
) -> pb.Task:
    """Puts a failed or skipped task back; reopens its epic and its run where they had ended.

    `agent` does it from now on; empty leaves the one that it has. With `resume` the next
    attempt continues the session of the newest one.
    """
    task = get_task(connection, name)
    if task.state not in {pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED}:
        raise wrong_state(name, pb.TaskState.Name(task.state), _NO_RETRY[task.state])
    check_reopenable(connection, name.parent)
    if resume and not task.attempt_count:
        raise wrong_state(
            name, pb.TaskState.Name(task.state), "it has no session to resume; retry it without"
        )
    resumed = {"resume_from": task.attempt_count} if resume else {}
    at_once = {"quick_failures": 0, "outages": 0, "start_after": 0}
    _set_task(connection, task, state=pb.TASK_STATE_PENDING, reason="", skipped_by="", **resumed, **at_once)
    if agent:
        set_agent(connection, name, agent)
    go_on(connection, name, actor, now)
    return get_task(connection, name)


def go_on(connection: sa.Connection, name: TaskName, actor: str, now: int) -> None:
    """Lets the task's epic run it, also where epic or run had ended, or the epic is merged."""
    _set_up_again(connection, name)
    _reopen_run(connection, name, actor, now)
    _reopen_epic(connection, name)
    append(connection, [event(name, actor, epic_ready=pb.EpicReady())], now)


def skip_task(connection: sa.Connection, name: TaskName, actor: str, now: int) -> pb.Task:
    """Takes a pending or failed task out; after a failed one the epic goes on without it."""
    task = get_task(connection, name)
    if task.state == pb.TASK_STATE_SKIPPED:
        return task
    reason = f"skipped by {actor}"
    parked = task.latest_attempt.state == pb.ATTEMPT_STATE_PARKED and task.state == pb.TASK_STATE_WAITING
    if task.state not in {pb.TASK_STATE_PENDING, pb.TASK_STATE_FAILED} and not parked:
        raise wrong_state(name, pb.TaskState.Name(task.state), _NO_SKIP[task.state])
    run_state = check_reopenable(connection, name.parent)
    if run_state == pb.RUN_STATE_CANCELLED:
        raise wrong_state(name.parent.parent, pb.RunState.Name(run_state), "nothing of it runs any more")
    parked_sessions.end_wait(connection, name, reason)
    _set_task(connection, task, state=pb.TASK_STATE_SKIPPED, reason=reason, skipped_by=actor)
    append(connection, [event(name, actor, task_skipped=pb.TaskSkipped(reason=reason))], now)
    if task.state == pb.TASK_STATE_FAILED:
        _set_up_again(connection, name)
        _put_back(connection, name)
        if is_closed(connection, name.parent):
            go_on(connection, name, actor, now)
    return get_task(connection, name)


def check_reopenable(connection: sa.Connection, name: EpicName) -> "pb.RunState.ValueType":
    """Returns the run's state; raises WRONG_STATE while the run is cancelled or the epic merged."""
    state = _run_state(connection, name.parent)
    if state == pb.RUN_STATE_CANCELLING:
        advice = "wait until its processes are gone, then try again"
        raise wrong_state(name.parent, pb.RunState.Name(state), advice)
    if _epic(connection, name).merge_state == MergeState.MERGING:
        advice = "wait until the merge is done, then try again"
        raise wrong_state(name, pb.EpicState.Name(pb.EPIC_STATE_MERGING), advice)
    return state


def _set_task(connection: sa.Connection, task: pb.Task, **values: object) -> None:
    """Changes a task unless it has begun to run meanwhile."""
    name = TaskName.parse(task.name)
    change = sa.update(tasks).where(*is_task(name), tasks.c.state == task.state)
    if not connection.execute(change.values(**values)).rowcount:
        state = get_task(connection, name).state
        raise wrong_state(name, pb.TaskState.Name(state), "it has just changed; look again")


def set_agent(connection: sa.Connection, name: TaskName, agent: str) -> None:
    """Has another agent do the task; raises INVALID_FIELD where it cannot."""
    spec = pb.PlanTask.FromString(
        connection.execute(sa.select(tasks.c.spec).where(*is_task(name))).scalar_one()
    )
    if agent != SCRIPTED and not spec.prompt.strip():
        raise invalid_field("agent", f"{name} has a script and no prompt, so only {SCRIPTED} can do it")
    if agent.partition(":")[0] != spec.agent.partition(":")[0]:
        # Each kind of agent has its own names for models.
        spec.model = ""
    spec.agent = agent
    connection.execute(sa.update(tasks).where(*is_task(name)).values(spec=spec.SerializeToString()))


def _set_up_again(connection: sa.Connection, name: TaskName) -> None:
    """Lets the epic's setup be tried again, and what was skipped because it had failed."""
    failed = sa.update(epics).where(*is_epic(name.parent), epics.c.setup_failure != "")
    if connection.execute(failed.values(setup_failure="")).rowcount:
        _put_back(connection, name)


def _put_back(connection: sa.Connection, name: TaskName) -> None:
    """Makes those tasks of the epic pending that were skipped because another had failed."""
    skipped = sa.update(tasks).where(
        tasks.c.run == name.run,
        tasks.c.epic == name.epic,
        tasks.c.state == pb.TASK_STATE_SKIPPED,
        tasks.c.skipped_by == "",
    )
    connection.execute(skipped.values(state=pb.TASK_STATE_PENDING, reason=""))


def _reopen_run(connection: sa.Connection, name: TaskName, actor: str, now: int) -> None:
    """Lets an ended run go on."""
    run = name.parent.parent
    if _run_state(connection, run) in ENDED_RUN:
        reopened = {"state": pb.RUN_STATE_RUNNING, "reason": "", "ended_at": None}
        _set_run(connection, run, **reopened, merge_state=MergeState.NONE)
        append(connection, [event(run, actor, run_resumed=pb.RunResumed())], now)


def _epic(connection: sa.Connection, name: EpicName) -> Any:
    chosen = sa.select(epics.c.state, epics.c.merge_state, epics.c.started_at).where(*is_epic(name))
    return connection.execute(chosen).one()


def is_closed(connection: sa.Connection, name: EpicName) -> bool:
    """Says whether an epic's tasks were over: it has ended, is merged, conflicts, or awaits its merge."""
    return _closed(_epic(connection, name))


def _closed(epic: Any) -> bool:
    over = epic.state in ENDED_EPIC or epic.state == pb.EPIC_STATE_AWAITING_MERGE
    return over or epic.merge_state in {MergeState.MERGED, MergeState.CONFLICTED}


def _reopen_epic(connection: sa.Connection, name: TaskName) -> None:
    """Lets an epic that ended, or is merged, go on; what it will have then is merged again."""
    epic = _epic(connection, name.parent)
    if not _closed(epic):
        return
    # One that never started may still wait for a dependency: the policy looks.
    state = pb.EPIC_STATE_BLOCKED if epic.started_at is None else pb.EPIC_STATE_RUNNING
    values = {
        "state": state,
        "reason": "",
        "ended_at": None,
        "merge_state": MergeState.NONE,
        "merge_wanted": False,
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
