"""Decides what happens next. Only this module and slots.py, which fills the slots, decide on the order.

`decide` maps a snapshot to actions. It has no clock and no I/O, and returns the same
actions for the same snapshot. The caller executes the actions, which changes the next
snapshot, and calls it again.

- An epic has at most one session, and its tasks start in order. Only the candidates of one task
  run at the same time; of those that pass, one is chosen, and its work is taken over.
- An epic starts once all of its dependencies are merged.
- A task starts once all tasks that it needs are accepted; if one will not be, it fails.
- No run has more sessions than its max_parallel, and no worker more than its slots.
  No slot is idle while an epic could use it. No session starts on a worker that is drained.
- An epic of a project by URL moves between two attempts, if its worker is lost or drained, or has no slot for a task
  that has not been tried; see places.py.
- Where a pool makes places, such an epic asks for one when it could run, and runs on no other.
- No task starts without a reserved share of every budget above it.
- No task starts below a budget that is used up; sessions below it are stopped. A budget of
  the run or its project pauses the run, one of an epic or task only its epic.
- No task starts while its agent's provider is on hold, or while new commits of the project's branch
  conflict with its epic and the operator has not decided.
- A session that waits for the operator yields its slot to an epic that can use it,
  if its agent can resume later. Once answered, it resumes before all others.
- If an epic fails, the others continue, unless on_failure is STOP_RUN.
- Every run ends.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from heddle import pb
from heddle.names import RunName
from heddle.plan.graphs import graph
from scheduler_svc.model.lifecycle.states import ENDED_EPIC
from scheduler_svc.policy import budgets, candidates, epic_end, run_waits
from scheduler_svc.policy.actions import (
    Action,
    DenyOverdue,
    FailTask,
    FinishRun,
    MergeRun,
    ReadyEpic,
    SkipTask,
    StopAttempt,
)
from scheduler_svc.policy.epic_end import Cause, plural
from scheduler_svc.policy.ledger import Ledger
from scheduler_svc.policy.needs import Needs
from scheduler_svc.policy.places import Places, moved_runs
from scheduler_svc.policy.slots import Gate, Queue, dependencies, is_ready, merged, starts
from scheduler_svc.policy.snapshot import EpicView, RunView, Snapshot

# A task whose session was lost this often probably kills its worker.
MAX_LOSSES: Final = 5

# States of epics that do not prevent their run from succeeding.
_WELL: Final = frozenset({pb.EPIC_STATE_SUCCEEDED, pb.EPIC_STATE_DROPPED})


def decide(snapshot: Snapshot) -> list[Action]:
    """Returns the actions to take now, in order; an empty list means to wait for the next change."""
    workers = {worker.name for worker in snapshot.workers if worker.takes_work}
    actions: list[Action] = []
    queues: list[Queue] = []
    ledger = Ledger(snapshot.runs)
    gate = Gate(snapshot.providers)
    for place, run in enumerate(snapshot.runs):
        causes = _causes(run)
        actions += _readied(run, causes)
        needs = Needs(run)
        actions += _lost_needs(run, needs, causes)
        actions += _wound_up(run, causes, run.worker in workers)
        actions += candidates.decided(run, causes)
        actions += candidates.taken_over(run, causes, workers, snapshot.lost)
        actions += _run_ended(run, run.worker in workers)
        spent = budgets.used_up(run) if run.state != pb.RUN_STATE_CANCELLING else []
        wide = any(map(budgets.is_wide, spent))
        held = budgets.held_epics(spent)
        actions += budgets.halted(run, spent)
        actions += [] if wide else [each for each in ledger.stops(run) if each.attempt.epic not in held]
        actions += _denied(run)
        stays = causes.keys() | held | {epic.name.epic for epic in run.epics if epic.out_of_sync}
        queue = Queue(
            run,
            place,
            stays,
            snapshot.typical_seconds,
            ledger=ledger,
            gate=gate,
            needs=needs,
            may_start=not wide,
        )
        if pause := queue.refused():
            actions.append(pause)
        queues.append(queue)
    places = Places(snapshot.workers, snapshot.lost, snapshot.pods)
    actions += starts(queues, places)
    actions += moved_runs(snapshot)
    actions += run_waits.changed(snapshot, _without_place(queues, places))
    actions += run_waits.changed_epics(snapshot, places)
    return actions


def _without_place(queues: Iterable[Queue], places: Places) -> dict[RunName, str]:
    """Returns what runs without a session wait for, if one of their epics lacks only a place."""
    return {
        queue.run.name: places.wait(queue.run, waiting)
        for queue in queues
        if queue.live == 0
        and queue.run.max_parallel
        and (waiting := [each.epic for each in queue.waiting() if each.epic.moves])
    }


def should_retry(outcome: "pb.Outcome.ValueType", attempts: int, retries: int, lost: int) -> bool:
    """Returns whether a task is retried automatically after an attempt that ended with `outcome`.

    `attempts` is the number of attempts so far that count, `lost` the number of those that were
    lost; both include the one that has just ended. Lost attempts do not use up `retries`. `outcome`
    is an outage of the provider only if that happened too often.
    """
    if outcome == pb.OUTCOME_LOST:
        return lost <= MAX_LOSSES
    if outcome in {pb.OUTCOME_FAILED, pb.OUTCOME_TIMED_OUT, pb.OUTCOME_PROVIDER_UNAVAILABLE}:
        return attempts - lost <= retries
    return False


def _causes(run: RunView) -> dict[str, Cause]:
    """Returns why epics must not continue, by key; an epic without a cause may continue."""
    keys = [epic.name.epic for epic in run.epics]
    if run.state == pb.RUN_STATE_CANCELLING:
        return dict.fromkeys(keys, Cause("the run was cancelled", cancelled=True, stops=True))
    for epic in run.epics:
        if epic.on_failure == pb.ON_FAILURE_STOP_RUN and (failed := _failed_task(epic)):
            reason = f"task {failed} of epic {epic.name.epic} failed, which stops the run"
            return dict.fromkeys(keys, Cause(reason, stops=True))
    causes = _lost_dependencies(run)
    for epic in run.epics:
        if epic.setup_failure:
            causes[epic.name.epic] = Cause("the setup of its worktree failed")
        elif epic.on_failure == pb.ON_FAILURE_STOP_EPIC and (failed := _failed_task(epic)):
            causes[epic.name.epic] = Cause(f"task {failed} failed, which stops the epic")
    return causes


def _failed_task(epic: EpicView) -> str | None:
    return next((task.name.task for task in epic.tasks if task.state == pb.TASK_STATE_FAILED), None)


def _lost_dependencies(run: RunView) -> dict[str, Cause]:
    """Returns a cause for each direct or indirect dependent of an epic that ended unmerged."""
    lost = {epic.name.epic for epic in run.epics if epic.state in ENDED_EPIC and not epic.merged}
    causes: dict[str, Cause] = {}
    if not lost:
        return causes
    epics = {epic.name.epic: epic for epic in run.epics}
    for wave in graph.waves(dependencies(run)):
        for key in wave:
            missing = [each for each in epics[key].depends_on if each in lost]
            if missing and epics[key].state == pb.EPIC_STATE_BLOCKED:
                causes[key] = Cause(f"epic {missing[0]}, which it depends on, was not merged")
                lost.add(key)
    return causes


# The life of an epic.


def _readied(run: RunView, causes: Mapping[str, Cause]) -> Iterator[Action]:
    done = merged(run)
    for epic in run.epics:
        if is_ready(epic, done, causes) and epic.state == pb.EPIC_STATE_BLOCKED:
            yield ReadyEpic(epic.name)


def _lost_needs(run: RunView, needs: Needs, causes: Mapping[str, Cause]) -> Iterator[Action]:
    """Yields the failure of each task that is next in its epic and needs a task that was not accepted."""
    if not needs.exist:
        return
    for epic in run.epics:
        if epic.state in ENDED_EPIC or epic.busy or epic.name.epic in causes:
            continue
        task = epic.next_task
        if task and (lost := needs.lost(task)):
            yield FailTask(task.name, f"{lost.epic}/{lost.task}, which it needs, was not accepted")


def _wound_up(run: RunView, causes: Mapping[str, Cause], connected: bool) -> Iterator[Action]:
    """Yields the actions that end epics: stops and skips if there is a cause, merges, ends."""
    for epic in run.epics:
        cause = causes.get(epic.name.epic)
        if cause:
            yield from _cut_short(epic, cause)
        if epic.state in ENDED_EPIC or epic.merging or epic.busy:
            continue
        if cause or not any(task.startable for task in epic.tasks):
            yield from epic_end.closed(epic, cause, connected=connected)


def _cut_short(epic: EpicView, cause: Cause) -> Iterator[Action]:
    for task in epic.sessions:
        if cause.stops and task.live_attempt and not task.stopping:
            yield StopAttempt(task.live_attempt, cause.reason)
        # A task that is tried waits for the end of its candidates.
        going_on = task.trying and any(each.live or each.parked or each.startable for each in task.lanes)
        if (task.startable or task.parked or task.trying) and not going_on:
            yield SkipTask(task.name, cause.reason)


def _denied(run: RunView) -> Iterator[Action]:
    for epic in run.epics:
        for task in epic.sessions:
            if task.parked and task.overdue:
                yield DenyOverdue(task.name.attempt(task.attempts))


# The end of a run.


def _run_ended(run: RunView, connected: bool) -> Iterator[Action]:
    """Yields the merge into the user's branch, or the end of the run, once every epic has ended."""
    if run.merging_into or any(_unfinished(epic) for epic in run.epics):
        return
    if run.state == pb.RUN_STATE_CANCELLING:
        yield FinishRun(run.name, pb.RUN_STATE_CANCELLED)
    elif any(epic.state not in _WELL for epic in run.epics):
        yield FinishRun(run.name, pb.RUN_STATE_FAILED, _shortfall(run))
    elif run.merge_into_conflict:
        reason = (
            f"{run.name.branch} could not be merged into {run.merge_into}; the work is on {run.name.branch}"
        )
        yield FinishRun(run.name, pb.RUN_STATE_FAILED, reason)
    elif run.merge_into and not run.merged_into and any(epic.merged for epic in run.epics):
        if connected:
            yield MergeRun(run.name)
    elif run.unpushed:
        yield FinishRun(run.name, pb.RUN_STATE_FAILED, _unpushed(run))
    else:
        yield FinishRun(run.name, pb.RUN_STATE_SUCCEEDED)


def _unpushed(run: RunView) -> str:
    branch = run.merge_into or run.name.branch
    return (
        f"{branch} did not reach {run.project}, whose remote refuses it: {run.unpushed.rstrip('.')}. All work is done"
        f" and kept in the worker's clone; `heddle push {run.name.run}` tries again"
    )


def _unfinished(epic: EpicView) -> bool:
    return epic.state not in ENDED_EPIC or epic.merging or epic.busy


def _shortfall(run: RunView) -> str:
    """Returns a message about the epics that did not succeed."""
    words = {
        pb.EPIC_STATE_FAILED: "failed",
        pb.EPIC_STATE_CONFLICTED: "conflicted",
        pb.EPIC_STATE_SKIPPED: "did not run",
        pb.EPIC_STATE_CANCELLED: "cancelled",
    }
    parts = []
    for state, word in words.items():
        keys = [epic.name.epic for epic in run.epics if epic.state == state]
        if keys:
            named = ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
            parts.append(f"{len(keys)} of {plural(len(run.epics), 'epic')} {word} ({named})")
    return "; ".join(parts)
