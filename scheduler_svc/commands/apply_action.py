"""Writes decisions down: each action's change of state, with its events.

The world may have moved since the snapshot, so each action looks whether it still
holds and is dropped if it does not; the next decision sees why.
"""

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.commands import resolve_tasks
from scheduler_svc.model.states import ENDED_EPIC, EPIC_OUTCOME, OPEN_TASK, RUN_OUTCOME, MergeState
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
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.statements import INSERT_ATTEMPT, RUN_OF_EPIC, START_EPIC, START_TASK, of
from scheduler_svc.store.db.tables import attempts, epics, runs, tasks
from scheduler_svc.store.queries.resources import get_run, is_attempt, is_epic, is_task
from scheduler_svc.store.rows import parked_sessions

_ACTOR = "scheduler"


def act(connection: sa.Connection, action: Action, now: int) -> bool:  # noqa: C901, PLR0911, PLR0912 (one for each kind)
    """Writes one action; returns False if it no longer holds, and then writes nothing."""
    match action:
        case ReadyEpic(epic):
            return _ready_epic(connection, epic, now)
        case StartTask(attempt, share):
            return _start_task(connection, attempt, share, now)
        case StopAttempt(attempt, reason, counts):
            return stop_attempt(connection, attempt, reason, counts=counts)
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


def _ready_epic(connection: sa.Connection, epic: EpicName, now: int) -> bool:
    change = sa.update(epics).where(*is_epic(epic), epics.c.state == pb.EPIC_STATE_BLOCKED)
    if not connection.execute(change.values(state=pb.EPIC_STATE_READY)).rowcount:
        return False
    append(connection, [event(epic, _ACTOR, epic_ready=pb.EpicReady())], now)
    return True


def _start_task(connection: sa.Connection, attempt: AttemptName, share: int | None, now: int) -> bool:
    epic, run = attempt.parent.parent, attempt.parent.parent.parent
    ground = connection.execute(RUN_OF_EPIC, of(epic)).one()
    if ground.state not in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING} or ground.has_live_attempt:
        return False
    change = {"state": pb.TASK_STATE_RUNNING, "reason": "", "attempt_count": attempt.number}
    task = connection.execute(START_TASK, of(attempt) | change).one_or_none()
    if task is None:
        return False
    spec = pb.PlanTask.FromString(task.spec)
    connection.execute(
        INSERT_ATTEMPT,
        {
            **attempt._asdict(),
            "state": pb.ATTEMPT_STATE_STARTING,
            "worker": ground.worker,
            "agent": spec.agent,
            "share_micros": share,
            "started_at": now,
            "summary": b"",
            "usage": b"",
            "record": b"",
        },
    )
    if ground.state == pb.RUN_STATE_PENDING:
        begun = {"state": pb.RUN_STATE_RUNNING, "started_at": sa.func.coalesce(runs.c.started_at, now)}
        connection.execute(sa.update(runs).where(runs.c.run == run.run).values(**begun))
        append(connection, [event(run, _ACTOR, run_started=pb.RunStarted())], now)
    if ground.epic_state == pb.EPIC_STATE_READY:
        begun = {"state": pb.EPIC_STATE_RUNNING, "started_at": now}
        title = pb.PlanEpic.FromString(connection.execute(START_EPIC, of(epic) | begun).scalar_one()).title
        append(connection, [event(epic, _ACTOR, epic_started=pb.EpicStarted(title=title))], now)
    started = pb.TaskStarted(title=spec.title, agent=spec.agent, worker=ground.worker)
    append(connection, [event(attempt, _ACTOR, task_started=started)], now)
    return True


def stop_attempt(
    connection: sa.Connection, attempt: AttemptName, reason: str, *, counts: bool = True
) -> bool:
    """Notes that a live attempt is to stop; whoever leads then stops it. False: it was told before."""
    change = sa.update(attempts).where(
        *is_attempt(attempt), attempts.c.ended_at.is_(None), attempts.c.stop_reason.is_(None)
    )
    return bool(connection.execute(change.values(stop_reason=reason, counts=counts)).rowcount)


def _pause_run(connection: sa.Connection, pause: PauseRun, now: int) -> bool:
    change = sa.update(runs).where(
        runs.c.run == pause.run.run, runs.c.state.in_((pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING))
    )
    if not connection.execute(
        change.values(state=pb.RUN_STATE_PAUSED, reason=pause.reason, held_by=pause.held_by)
    ).rowcount:
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


def _skip_task(connection: sa.Connection, task: TaskName, reason: str, now: int) -> bool:
    idle = {pb.TASK_STATE_PENDING}
    if parked_sessions.end_wait(connection, task, reason):
        idle.add(pb.TASK_STATE_WAITING)
    change = sa.update(tasks).where(*is_task(task), tasks.c.state.in_(idle))
    if not connection.execute(change.values(state=pb.TASK_STATE_SKIPPED, reason=reason)).rowcount:
        return False
    append(connection, [event(task, _ACTOR, task_skipped=pb.TaskSkipped(reason=reason))], now)
    return True


def _merge_epic(connection: sa.Connection, epic: EpicName, now: int) -> bool:
    change = sa.update(epics).where(
        *is_epic(epic),
        epics.c.state.not_in(ENDED_EPIC),
        epics.c.merge_state == MergeState.NONE,
        ~_has_open_tasks(epic),
    )
    values = {"state": pb.EPIC_STATE_MERGING, "merge_state": MergeState.MERGING}
    if not connection.execute(change.values(**values)).rowcount:
        return False
    started = pb.MergeStarted(source_branch=epic.branch, target_branch=epic.parent.branch)
    append(connection, [event(epic, _ACTOR, merge_started=started)], now)
    return True


def _await_merge(connection: sa.Connection, epic: EpicName, now: int) -> bool:
    change = sa.update(epics).where(
        *is_epic(epic),
        epics.c.state.not_in((*ENDED_EPIC, pb.EPIC_STATE_AWAITING_MERGE)),
        epics.c.merge_state == MergeState.NONE,
        ~epics.c.merge_wanted,
        ~_has_open_tasks(epic),
    )
    if not connection.execute(change.values(state=pb.EPIC_STATE_AWAITING_MERGE)).rowcount:
        return False
    waiting = pb.MergeWaiting(target_branch=epic.parent.branch)
    append(connection, [event(epic, _ACTOR, merge_waiting=waiting)], now)
    return True


def _resolve_conflict(connection: sa.Connection, epic: EpicName, now: int) -> bool:
    conflicting = sa.select(epics.c.epic).where(
        *is_epic(epic),
        epics.c.state.not_in(ENDED_EPIC),
        epics.c.merge_state == MergeState.CONFLICTED,
        ~_has_open_tasks(epic),
    )
    if connection.execute(conflicting).one_or_none() is None:
        return False
    resolve_tasks.add(connection, epic, "", _ACTOR, now)
    return True


def _has_open_tasks(epic: EpicName) -> sa.ColumnElement[bool]:
    return (
        sa.select(tasks.c.task)
        .where(tasks.c.run == epic.run, tasks.c.epic == epic.epic, tasks.c.state.in_(OPEN_TASK))
        .exists()
    )


def _finish_epic(
    connection: sa.Connection, epic: EpicName, state: "pb.EpicState.ValueType", reason: str, now: int
) -> bool:
    change = sa.update(epics).where(*is_epic(epic), epics.c.state.not_in(ENDED_EPIC), ~_has_open_tasks(epic))
    if not connection.execute(change.values(state=state, reason=reason, ended_at=now)).rowcount:
        return False
    finished = pb.EpicFinished(outcome=EPIC_OUTCOME[state], reason=reason)
    append(connection, [event(epic, _ACTOR, epic_finished=finished)], now)
    return True


def _merge_run(connection: sa.Connection, run: RunName, now: int) -> bool:
    change = (
        sa.update(runs)
        .where(runs.c.run == run.run, runs.c.ended_at.is_(None), runs.c.merge_state == MergeState.NONE)
        .where(~_has_open_epics(run))
        .values(merge_state=MergeState.MERGING)
        .returning(runs.c.merge_into)
    )
    target = connection.execute(change).scalar_one_or_none()
    if target is None:
        return False
    started = pb.MergeStarted(source_branch=run.branch, target_branch=target)
    append(connection, [event(run, _ACTOR, merge_started=started)], now)
    return True


def _has_open_epics(run: RunName) -> sa.ColumnElement[bool]:
    open_epics = sa.select(epics.c.epic).where(epics.c.run == run.run, epics.c.state.not_in(ENDED_EPIC))
    return open_epics.exists()


def _finish_run(
    connection: sa.Connection, run: RunName, state: "pb.RunState.ValueType", reason: str, now: int
) -> bool:
    change = sa.update(runs).where(runs.c.run == run.run, runs.c.ended_at.is_(None), ~_has_open_epics(run))
    # An operator's cancellation has its own reason already.
    values = {"state": state, "ended_at": now, **({"reason": reason} if reason else {})}
    if not connection.execute(change.values(**values)).rowcount:
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
