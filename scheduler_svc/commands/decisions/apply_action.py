"""Writes decisions to the database: the state change and the events of each action.

Rows may have changed since the snapshot. Each effect therefore checks that its action still
applies and otherwise drops it; the next decision sees the new state.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, Final, TypeAlias, TypeVar

from heddle import pb
from scheduler_svc.commands.decisions.start_tasks import start_tasks
from scheduler_svc.commands.merges import resolve_tasks
from scheduler_svc.commands.runs import candidates
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import EPIC_OUTCOME, RUN_OUTCOME
from scheduler_svc.policy.actions import (
    Action,
    AskForChoice,
    AskPlace,
    AwaitMerge,
    ChooseCandidate,
    CompareCandidates,
    DenyOverdue,
    FailCandidates,
    FailTask,
    FinishEpic,
    FinishRun,
    HoldEpic,
    MergeEpic,
    MergeRun,
    MoveRun,
    NoteEpicWait,
    NoteWait,
    ParkAttempt,
    PauseRun,
    ReadyEpic,
    ResolveConflict,
    SkipTask,
    SpentBudget,
    StartCandidates,
    StartTask,
    StopAttempt,
)
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.outcomes import candidate_outcomes, parked_sessions, review_outcomes
from scheduler_svc.store.queries import records
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.resources import get_run
from scheduler_svc.store.rows import attempts, epics, runs, tasks

_ACTOR = "scheduler"


Kind = TypeVar("Kind", bound=Action)

# Writes an action. Returns False and writes nothing if it no longer applies. The last argument is the time.
Effect: TypeAlias = Callable[[Connection, Kind, int], bool]

# Effects by class of action.
EFFECTS: Final[dict[type, Effect[Any]]] = {}


def _effect_of(kind: type[Kind]) -> Callable[[Effect[Kind]], Effect[Kind]]:
    def register(effect: Effect[Kind]) -> Effect[Kind]:
        EFFECTS[kind] = effect
        return effect

    return register


def act(connection: Connection, action: Action, now: int) -> bool:
    """Writes one action; returns False and writes nothing if the action no longer applies."""
    return EFFECTS[type(action)](connection, action, now)


def act_on(
    connection: Connection, actions: Iterable[Action], now: int
) -> list[tuple[Action, Assignment | None]]:
    """Writes actions in their order; returns those that applied, each start of a task with its assignment.

    Starts that follow each other share their statements.
    """
    held: list[tuple[Action, Assignment | None]] = []
    for kind, of_kind in groupby(actions, type):
        if kind is StartTask:
            starts = [action for action in of_kind if isinstance(action, StartTask)]
            started = start_tasks(connection, starts, now)
            held += [pair for pair in zip(starts, started, strict=True) if pair[1] is not None]
        else:
            held += [(action, None) for action in of_kind if act(connection, action, now)]
    return held


@_effect_of(StopAttempt)
def _stop_attempt(connection: Connection, action: StopAttempt, _now: int) -> bool:
    return attempts.ask_to_stop(connection, action.attempt, action.reason, counts=action.counts)


@_effect_of(ParkAttempt)
def _park_attempt(_connection: Connection, _action: ParkAttempt, _now: int) -> bool:
    # The worker decides whether the session still waits, so nothing is written until it has ended.
    return True


@_effect_of(AskPlace)
def _ask_place(_connection: Connection, _action: AskPlace, _now: int) -> bool:
    # The pool knows its places; what is recorded is that the epic's task starts there.
    return True


@_effect_of(DenyOverdue)
def _deny_overdue(connection: Connection, action: DenyOverdue, now: int) -> bool:
    return parked_sessions.deny_overdue(connection, action.attempt, now)


@_effect_of(ReadyEpic)
def _ready_epic(connection: Connection, action: ReadyEpic, now: int) -> bool:
    epic = action.epic
    if not epics.try_to(connection, epic, transitions.EPIC_READY):
        return False
    append(connection, [event(epic, _ACTOR, epic_ready=pb.EpicReady())], now)
    return True


@_effect_of(StartTask)
def _start_task(connection: Connection, action: StartTask, now: int) -> bool:
    return start_tasks(connection, [action], now)[0] is not None


@_effect_of(HoldEpic)
def _hold_epic(connection: Connection, action: HoldEpic, now: int) -> bool:
    spent = action.spent
    if spent is None:
        return epics.try_change(connection, action.epic, budget_hold=None)
    hold = pb.BudgetHold(
        name=str(spent.name),
        budget_usd_micros=spent.budget,
        spent_usd_micros=spent.spent,
        reason=action.reason,
    )
    if not epics.try_change(connection, action.epic, budget_hold=hold.SerializeToString()):
        return False
    append(connection, [_reached(spent)], now)
    return True


def _reached(spent: SpentBudget) -> pb.Event:
    reached = pb.BudgetReached(
        budget_usd_micros=spent.budget, spent_usd_micros=spent.spent, level=spent.level
    )
    return event(spent.name, _ACTOR, budget_reached=reached)


@_effect_of(PauseRun)
def _pause_run(connection: Connection, action: PauseRun, now: int) -> bool:
    move = transitions.RUN_PAUSE
    if not runs.try_to(connection, action.run, move, reason=action.reason, held_by=action.held_by):
        return False
    paused = event(action.run, _ACTOR, run_paused=pb.RunPaused(reason=action.reason))
    append(connection, [*map(_reached, action.spent), paused], now)
    return True


@_effect_of(NoteWait)
def _note_wait(connection: Connection, action: NoteWait, now: int) -> bool:
    if not runs.note_wait(connection, action.run, action.reason):
        return False
    waits = pb.RunWaits(reason=action.reason)
    append(connection, [event(action.run, _ACTOR, run_waits=waits)], now)
    return True


@_effect_of(NoteEpicWait)
def _note_epic_wait(connection: Connection, action: NoteEpicWait, now: int) -> bool:
    if not epics.note_wait(connection, action.epic, action.reason):
        return False
    waits = pb.EpicWaits(reason=action.reason)
    append(connection, [event(action.epic, _ACTOR, epic_waits=waits)], now)
    return True


@_effect_of(MoveRun)
def _move_run(connection: Connection, action: MoveRun, now: int) -> bool:
    before = runs.move_home(connection, action.run, action.worker)
    if before is None:
        return False
    moved = pb.RunMoved(from_worker=before, to_worker=action.worker)
    append(connection, [event(action.run, _ACTOR, run_moved=moved)], now)
    return True


@_effect_of(SkipTask)
def _skip_task(connection: Connection, action: SkipTask, now: int) -> bool:
    task, reason = action.task, action.reason
    parked = parked_sessions.end_wait(connection, task, reason) is not None
    skip = transitions.TASK_SKIP_PARKED if parked else transitions.TASK_SKIP
    # A task whose candidates have ended has no session.
    skipped = tasks.try_to(connection, task, skip, reason=reason) or (
        records.is_tried(connection, task)
        and tasks.try_to(connection, task, transitions.TASK_SKIP_TRIED, reason=reason)
    )
    if not skipped:
        return False
    review_outcomes.withdraw(connection, task, reason)
    candidate_outcomes.give_up(connection, task, reason)
    append(connection, [event(task, _ACTOR, task_skipped=pb.TaskSkipped(reason=reason))], now)
    return True


@_effect_of(FailTask)
def _fail_task(connection: Connection, action: FailTask, now: int) -> bool:
    if not tasks.try_to(connection, action.task, transitions.TASK_LOSE_NEED, reason=action.reason):
        return False
    review_outcomes.withdraw(connection, action.task, action.reason)
    append(connection, [event(action.task, _ACTOR, task_failed=pb.TaskFailed(reason=action.reason))], now)
    return True


@_effect_of(StartCandidates)
def _start_candidates(connection: Connection, action: StartCandidates, now: int) -> bool:
    return candidates.start(connection, action.task, now)


@_effect_of(AskForChoice)
def _ask_for_choice(connection: Connection, action: AskForChoice, now: int) -> bool:
    return candidates.ask(connection, action.task, action.candidates, now)


@_effect_of(CompareCandidates)
def _compare_candidates(connection: Connection, action: CompareCandidates, _now: int) -> bool:
    return candidates.compare(connection, action.task, action.candidates)


@_effect_of(ChooseCandidate)
def _choose_candidate(connection: Connection, action: ChooseCandidate, now: int) -> bool:
    return candidates.choose(connection, action.task, action.candidate, action.reason, now)


@_effect_of(FailCandidates)
def _fail_candidates(connection: Connection, action: FailCandidates, now: int) -> bool:
    return candidates.fail(connection, action.task, now)


@_effect_of(MergeEpic)
def _merge_epic(connection: Connection, action: MergeEpic, now: int) -> bool:
    epic = action.epic
    if not epics.close(connection, epic, transitions.EPIC_MERGE):
        return False
    started = pb.MergeStarted(source_branch=epic.branch, target_branch=epic.parent.branch)
    append(connection, [event(epic, _ACTOR, merge_started=started)], now)
    return True


@_effect_of(AwaitMerge)
def _await_merge(connection: Connection, action: AwaitMerge, now: int) -> bool:
    epic = action.epic
    if not epics.await_merge(connection, epic):
        return False
    waiting = pb.MergeWaiting(target_branch=epic.parent.branch)
    append(connection, [event(epic, _ACTOR, merge_waiting=waiting)], now)
    return True


@_effect_of(ResolveConflict)
def _resolve_conflict(connection: Connection, action: ResolveConflict, now: int) -> bool:
    epic = action.epic
    if not epics.conflicts(connection, epic):
        return False
    resolve_tasks.add(connection, epic, "", _ACTOR, now)
    return True


@_effect_of(FinishEpic)
def _finish_epic(connection: Connection, action: FinishEpic, now: int) -> bool:
    epic, state, reason = action.epic, action.state, action.reason
    if not epics.close(connection, epic, transitions.EPIC_FINISH[state], now=now, reason=reason):
        return False
    finished = pb.EpicFinished(outcome=EPIC_OUTCOME[state], reason=reason)
    append(connection, [event(epic, _ACTOR, epic_finished=finished)], now)
    return True


@_effect_of(MergeRun)
def _merge_run(connection: Connection, action: MergeRun, now: int) -> bool:
    run = action.run
    target = runs.merge(connection, run)
    if target is None:
        return False
    started = pb.MergeStarted(source_branch=run.branch, target_branch=target)
    append(connection, [event(run, _ACTOR, merge_started=started)], now)
    return True


@_effect_of(FinishRun)
def _finish_run(connection: Connection, action: FinishRun, now: int) -> bool:
    run = action.run
    if not runs.finish(connection, run, action.state, action.reason, now):
        return False
    ended = get_run(connection, run)
    finished = pb.RunFinished(
        outcome=RUN_OUTCOME[action.state],
        reason=ended.reason,
        tasks_accepted=ended.tasks.accepted,
        tasks_failed=ended.tasks.failed,
        tasks_skipped=ended.tasks.skipped,
        usage=ended.usage,
    )
    append(connection, [event(run, _ACTOR, run_finished=finished)], now)
    return True
