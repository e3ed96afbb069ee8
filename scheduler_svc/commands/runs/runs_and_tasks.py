"""Commands of an operator on runs, tasks and attempts. Each function runs inside one transaction."""

from typing import Final, NamedTuple

from heddle import pb
from heddle.errors import invalid_field
from heddle.identity.principals import person
from heddle.names import AttemptName, RunName, TaskName
from heddle.plan.rules import SCRIPTED
from heddle.plan.values import text_rules
from scheduler_svc.commands.runs.budgets import NewBudget, set_budget
from scheduler_svc.commands.runs.candidates import check_whole
from scheduler_svc.commands.runs.reopen import (
    check_reopenable,
    is_closed,
    put_back,
    reopen_epic,
    reopen_task,
    set_up_again,
)
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.model.plans.plan_defaults import replace_agent
from scheduler_svc.model.sessions.agent_availability import agents_of
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.outcomes import candidate_outcomes, parked_sessions, review_outcomes
from scheduler_svc.store.outcomes.provider_outages import end_hold
from scheduler_svc.store.queries.records import is_tried, run_row
from scheduler_svc.store.queries.resources import get_attempt, get_spec, get_task
from scheduler_svc.store.rows import attempts, epics, runs, tasks

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


def pause_run(connection: Connection, name: RunName, actor: str, now: int) -> None:
    """Pauses a run: no new task starts."""
    state = _run_state(connection, name)
    if state in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}:
        runs.move(connection, name, transitions.RUN_PAUSE)
        append(connection, [event(name, actor, run_paused=pb.RunPaused())], now)
    elif state != pb.RUN_STATE_PAUSED:
        raise wrong_state(name, pb.RunState.Name(state), "only a run that has not ended can be paused")


def resume_run(
    connection: Connection, name: RunName, actor: str, now: int, *, budget: NewBudget | None = None
) -> None:
    """Sets `budget`, even if the run is not paused, then resumes a paused run."""
    run = run_row(connection, name)
    state = pb.RunState.ValueType(run.state)
    if state not in {pb.RUN_STATE_PAUSED, pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}:
        raise wrong_state(name, pb.RunState.Name(state), "only a paused run can be resumed")
    if budget:
        set_budget(connection, budget)
    epics.release_budgets(connection, name)
    if state == pb.RUN_STATE_PAUSED:
        if run.held_by:
            end_hold(connection, run.held_by, actor, now)
        never_started = run.started_at is None
        runs.move(
            connection, name, transitions.RUN_RESUME_PENDING if never_started else transitions.RUN_RESUME
        )
    if budget:
        resumed = pb.RunResumed(budget_usd_micros=budget.micros)
        append(connection, [event(budget.name, actor, run_resumed=resumed)], now)
    elif state == pb.RUN_STATE_PAUSED:
        append(connection, [event(name, actor, run_resumed=pb.RunResumed())], now)


def update_run(connection: Connection, name: RunName, actor: str, max_parallel: int, now: int) -> None:
    """Changes the limit on the run's parallel sessions; running sessions continue."""
    run = run_row(connection, name)
    if run.state in ENDED_RUN:
        raise wrong_state(name, pb.RunState.Name(run.state), "only a run that has not ended can be changed")
    if run.max_parallel != max_parallel:
        runs.change(connection, name, max_parallel=max_parallel)
        append(connection, [event(name, actor, run_updated=pb.RunUpdated(max_parallel=max_parallel))], now)


def cancel_run(connection: Connection, name: RunName, actor: str) -> None:
    """Has the loop stop all sessions of the run; the run ends when they have stopped."""
    state = _run_state(connection, name)
    if state in {pb.RUN_STATE_CANCELLING, pb.RUN_STATE_CANCELLED}:
        return
    if state in ENDED_RUN:
        raise wrong_state(name, pb.RunState.Name(state), "there is nothing to cancel")
    runs.move(connection, name, transitions.RUN_CANCEL, reason=f"cancelled by {person(actor)}")


def stop(connection: Connection, name: AttemptName, actor: str, now: int) -> None:
    """Has the loop stop a live attempt, or ends the wait of a parked one; leaves any other unchanged."""
    get_attempt(connection, name)
    reason = f"stopped by {person(actor)}"
    if not parked_sessions.stop(connection, name, reason, now):
        attempts.ask_to_stop(connection, name, reason)


class AgentChoice(NamedTuple):
    """The agent and the model that do a task from now on; empty ones stay as they are."""

    agent: str = ""
    model: str = ""


def retry_task(
    connection: Connection,
    name: TaskName,
    actor: str,
    choice: AgentChoice,
    now: int,
    *,
    resume: bool = False,
) -> None:
    """Makes a failed or skipped task pending again; reopens its epic and its run if they have ended.

    With `resume`, the next attempt continues the session of the newest one.
    """
    check_whole(name)
    task = get_task(connection, name)
    if task.state not in {pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED}:
        raise wrong_state(name, pb.TaskState.Name(task.state), _NO_RETRY[task.state])
    check_reopenable(connection, name.parent)
    if resume and task.candidates:
        advice = "its candidates start from scratch; choose one that passed, or retry it without resume"
        raise wrong_state(name, pb.TaskState.Name(task.state), advice)
    if resume and not task.attempt_count:
        raise wrong_state(
            name, pb.TaskState.Name(task.state), "it has no session to resume; retry it without"
        )
    resumed = {"resume_from": task.attempt_count} if resume else {}
    tasks.move_from(connection, name, task.state, transitions.TASK_RETRY, **resumed)
    choose_agent(connection, name, choice)
    reopen_task(connection, name, actor, now)


def skip_task(connection: Connection, name: TaskName, actor: str, now: int) -> None:
    """Skips a pending or failed task; the epic continues without it."""
    check_whole(name)
    task = get_task(connection, name)
    if task.state == pb.TASK_STATE_SKIPPED:
        return
    reason = f"skipped by {person(actor)}"
    asks = task.state == pb.TASK_STATE_WAITING
    # Without a session: parked, or for the choice of a candidate.
    parked = asks and (task.latest_attempt.state == pb.ATTEMPT_STATE_PARKED or is_tried(connection, name))
    if task.state not in {pb.TASK_STATE_PENDING, pb.TASK_STATE_FAILED} and not parked:
        raise wrong_state(name, pb.TaskState.Name(task.state), _NO_SKIP[task.state])
    run_state = check_reopenable(connection, name.parent)
    if run_state == pb.RUN_STATE_CANCELLED:
        raise wrong_state(name.parent.parent, pb.RunState.Name(run_state), "nothing of it runs any more")
    parked_sessions.end_wait(connection, name, reason)
    take_out = transitions.TASK_TAKE_OUT
    tasks.move_from(connection, name, task.state, take_out, reason=reason, skipped_by=actor)
    review_outcomes.withdraw(connection, name, reason)
    candidate_outcomes.give_up(connection, name, reason)
    append(connection, [event(name, actor, task_skipped=pb.TaskSkipped(reason=reason))], now)
    if task.state == pb.TASK_STATE_FAILED:
        set_up_again(connection, name.parent, actor, now)
        put_back(connection, name.parent, actor, now)
        if is_closed(connection, name.parent):
            reopen_epic(connection, name.parent, actor, now)


def choose_agent(connection: Connection, name: TaskName, choice: AgentChoice) -> None:
    """Replaces the agent and model of the task; raises INVALID_FIELD if the agent cannot do it."""
    if not any(choice):
        return
    for violation in text_rules.title("model", choice.model):
        raise invalid_field("model", violation.description)
    spec = get_spec(connection, name)
    if choice.agent:
        if choice.agent != SCRIPTED and not spec.prompt.strip():
            raise invalid_field("agent", f"{name} has a script and no prompt, so only {SCRIPTED} can do it")
        replace_agent(spec, choice.agent)
    if choice.model:
        spec.model = choice.model
    tasks.change(connection, name, spec=spec.SerializeToString(), agents=agents_of(spec))


def _run_state(connection: Connection, name: RunName) -> "pb.RunState.ValueType":
    return pb.RunState.ValueType(run_row(connection, name).state)
