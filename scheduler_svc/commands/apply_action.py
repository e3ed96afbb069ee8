"""Writes decisions down: each action's change of state, with its events.

The world may have moved since the snapshot, so each action looks whether it still
holds and is dropped if it does not; the next decision sees why.
"""

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.commands import resolve_tasks
from scheduler_svc.model import transitions
from scheduler_svc.model.states import EPIC_OUTCOME, RUN_OUTCOME
from scheduler_svc.policy.snapshot import (
    Action,
    AwaitMerge,
    DenyOverdue,
    FinishEpic,
    FinishRun,
    MergeEpic,
    MergeRun,
    ParkAttempt,
    PauseRun,
    ReadyEpic,
    ResolveConflict,
    SkipTask,
    StartTask,
    StopAttempt,
)
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import read_start
from scheduler_svc.store.queries.resources import get_run
from scheduler_svc.store.rows import attempts, epics, parked_sessions, runs, tasks

_ACTOR = "scheduler"


def act(connection: Connection, action: Action, now: int) -> bool:  # noqa: C901, PLR0911, PLR0912 (one for each kind)
    """Writes one action; returns False if it no longer holds, and then writes nothing."""
    match action:
        case ReadyEpic(epic):
            return _ready_epic(connection, epic, now)
        case StartTask(attempt, share):
            return _start_task(connection, attempt, share, now)
        case StopAttempt(attempt, reason, counts):
            return attempts.ask_to_stop(connection, attempt, reason, counts=counts)
        case ParkAttempt(attempt):
            # Its worker decides whether it still waits, so nothing is written before it has ended.
            return True
        case DenyOverdue(attempt):
            return parked_sessions.deny_overdue(connection, attempt, now)
        case PauseRun():
            return _pause_run(connection, action, now)
        case SkipTask(task, reason):
            return _skip_task(connection, task, reason, now)
        case MergeEpic(epic):
            return _merge_epic(connection, epic, now)
        case AwaitMerge(epic):
            return _await_merge(connection, epic, now)
        case ResolveConflict(epic):
            return _resolve_conflict(connection, epic, now)
        case FinishEpic(epic, state, reason):
            return _finish_epic(connection, epic, state, reason, now)
        case MergeRun(run):
            return _merge_run(connection, run, now)
        case FinishRun(run, state, reason):
            return _finish_run(connection, run, state, reason, now)


def _ready_epic(connection: Connection, epic: EpicName, now: int) -> bool:
    if not epics.try_to(connection, epic, transitions.EPIC_READY):
        return False
    append(connection, [event(epic, _ACTOR, epic_ready=pb.EpicReady())], now)
    return True


def _start_task(connection: Connection, attempt: AttemptName, share: int | None, now: int) -> bool:
    epic, run = attempt.parent.parent, attempt.parent.parent.parent
    base = read_start(connection, epic)
    if base.state not in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING} or base.has_live_attempt:
        return False
    spec = tasks.start(connection, attempt)
    if spec is None:
        return False
    attempts.insert(connection, attempt, base.worker, spec.agent, share=share, now=now)
    if base.state == pb.RUN_STATE_PENDING:
        runs.move(connection, run, transitions.RUN_START, now=now)
        append(connection, [event(run, _ACTOR, run_started=pb.RunStarted())], now)
    if base.epic_state == pb.EPIC_STATE_READY and (planned := epics.start(connection, epic, now)):
        append(connection, [event(epic, _ACTOR, epic_started=pb.EpicStarted(title=planned.title))], now)
    started = pb.TaskStarted(title=spec.title, agent=spec.agent, worker=base.worker)
    append(connection, [event(attempt, _ACTOR, task_started=started)], now)
    return True


def _pause_run(connection: Connection, pause: PauseRun, now: int) -> bool:
    move = transitions.RUN_PAUSE
    if not runs.try_to(connection, pause.run, move, reason=pause.reason, held_by=pause.held_by):
        return False
    reached = [
        event(
            each.name,
            _ACTOR,
            budget_reached=pb.BudgetReached(
                budget_usd_micros=each.budget, spent_usd_micros=each.spent, level=each.level
            ),
        )
        for each in pause.spent
    ]
    paused = event(pause.run, _ACTOR, run_paused=pb.RunPaused(reason=pause.reason))
    append(connection, [*reached, paused], now)
    return True


def _skip_task(connection: Connection, task: TaskName, reason: str, now: int) -> bool:
    parked = parked_sessions.end_wait(connection, task, reason) is not None
    skip = transitions.TASK_SKIP_PARKED if parked else transitions.TASK_SKIP
    if not tasks.try_to(connection, task, skip, reason=reason):
        return False
    append(connection, [event(task, _ACTOR, task_skipped=pb.TaskSkipped(reason=reason))], now)
    return True


def _merge_epic(connection: Connection, epic: EpicName, now: int) -> bool:
    if not epics.close(connection, epic, transitions.EPIC_MERGE):
        return False
    started = pb.MergeStarted(source_branch=epic.branch, target_branch=epic.parent.branch)
    append(connection, [event(epic, _ACTOR, merge_started=started)], now)
    return True


def _await_merge(connection: Connection, epic: EpicName, now: int) -> bool:
    if not epics.await_merge(connection, epic):
        return False
    waiting = pb.MergeWaiting(target_branch=epic.parent.branch)
    append(connection, [event(epic, _ACTOR, merge_waiting=waiting)], now)
    return True


def _resolve_conflict(connection: Connection, epic: EpicName, now: int) -> bool:
    if not epics.conflicts(connection, epic):
        return False
    resolve_tasks.add(connection, epic, "", _ACTOR, now)
    return True


def _finish_epic(
    connection: Connection, epic: EpicName, state: "pb.EpicState.ValueType", reason: str, now: int
) -> bool:
    if not epics.close(connection, epic, transitions.EPIC_FINISH[state], now=now, reason=reason):
        return False
    finished = pb.EpicFinished(outcome=EPIC_OUTCOME[state], reason=reason)
    append(connection, [event(epic, _ACTOR, epic_finished=finished)], now)
    return True


def _merge_run(connection: Connection, run: RunName, now: int) -> bool:
    target = runs.merge(connection, run)
    if target is None:
        return False
    started = pb.MergeStarted(source_branch=run.branch, target_branch=target)
    append(connection, [event(run, _ACTOR, merge_started=started)], now)
    return True


def _finish_run(
    connection: Connection, run: RunName, state: "pb.RunState.ValueType", reason: str, now: int
) -> bool:
    if not runs.finish(connection, run, state, reason, now):
        return False
    ended = get_run(connection, run)
    finished = pb.RunFinished(
        outcome=RUN_OUTCOME[state],
        reason=ended.reason,
        tasks_accepted=ended.tasks.accepted,
        tasks_failed=ended.tasks.failed,
        tasks_skipped=ended.tasks.skipped,
        usage=ended.usage,
    )
    append(connection, [event(run, _ACTOR, run_finished=finished)], now)
    return True
