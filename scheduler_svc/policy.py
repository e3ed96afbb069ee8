"""What happens next: the only place with an opinion about order.

`decide` looks at everything and says what to do; it has no clock and no I/O, and
answers the same for the same snapshot. Whoever acts on it changes what the next
snapshot shows, and asks again.

- An epic has at most one session, and its tasks start in order.
- An epic starts once all that it depends on is merged.
- No run has more sessions than its max_parallel, no worker more than its slots;
  and no slot idles while an epic could use it.
- Nothing starts below a budget that is used up; sessions below it are stopped,
  and their run is paused.
- No task starts whose agent's provider wants to be left alone.
- Whatever fails, every other epic goes on, unless on_failure is STOP_RUN.
- Every run ends.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

from heddle import pb
from heddle.plan import graph
from scheduler_svc import budgets, closing
from scheduler_svc.closing import Cause, plural
from scheduler_svc.snapshot import (
    Action,
    EpicView,
    FinishRun,
    MergeRun,
    ReadyEpic,
    RunView,
    SkipTask,
    Snapshot,
    StartTask,
    StopAttempt,
    TaskView,
)
from scheduler_svc.states import ENDED_EPIC

# A task that its worker lost so often is likely what kills the worker.
MAX_LOSSES: Final = 5

_STARTING: Final = frozenset({pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING})
# Of epics that do not keep their run from succeeding.
_WELL: Final = frozenset({pb.EPIC_STATE_SUCCEEDED, pb.EPIC_STATE_DROPPED})
_AT_WORK: Final = frozenset({pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING})


def decide(snapshot: Snapshot) -> list[Action]:
    """Returns what to do now, in the order in which to do it; nothing means to wait for news."""
    workers = {worker.name for worker in snapshot.workers}
    actions: list[Action] = []
    queues: list[_Queue] = []
    for place, run in enumerate(snapshot.runs):
        causes = _causes(run)
        actions += _readied(run, causes)
        actions += _wound_up(run, causes, run.worker in workers)
        actions += _run_ended(run, run.worker in workers)
        spent = budgets.used_up(run) if run.state != pb.RUN_STATE_CANCELLING else []
        actions += budgets.halted(run, spent)
        queues.append(_Queue(run, place, causes, snapshot.typical_seconds, may_start=not spent))
    actions += _starts(queues, {worker.name: worker.slots for worker in snapshot.workers})
    return actions


def should_retry(outcome: "pb.Outcome.ValueType", attempts: int, retries: int, lost: int) -> bool:
    """Says whether a task gets another attempt by itself after one that ended with `outcome`.

    `attempts` are all so far that count, `lost` those of them that were lost; both
    include the one that has just ended. Lost ones do not use up `retries`.
    """
    if outcome == pb.OUTCOME_LOST:
        return lost <= MAX_LOSSES
    if outcome in {pb.OUTCOME_FAILED, pb.OUTCOME_TIMED_OUT}:
        return attempts - lost <= retries
    return False


def _causes(run: RunView) -> dict[str, Cause]:
    """Returns the causes by key; the epics without one may go on."""
    keys = [epic.name.epic for epic in run.epics]
    if run.state == pb.RUN_STATE_CANCELLING:
        return dict.fromkeys(keys, Cause("the run was cancelled", cancelled=True, stops=True))
    for epic in run.epics:
        if epic.on_failure == pb.ON_FAILURE_STOP_RUN and (failed := _failed_task(epic)):
            reason = f"task {failed} of epic {epic.name.epic} failed, which stops the run"
            return dict.fromkeys(keys, Cause(reason, stops=True))
    causes = _lost_dependencies(run)
    for epic in run.epics:
        if epic.on_failure == pb.ON_FAILURE_STOP_EPIC and (failed := _failed_task(epic)):
            causes[epic.name.epic] = Cause(f"task {failed} failed, which stops the epic")
    return causes


def _failed_task(epic: EpicView) -> str | None:
    return next((task.name.task for task in epic.tasks if task.state == pb.TASK_STATE_FAILED), None)


def _lost_dependencies(run: RunView) -> dict[str, Cause]:
    """Returns a cause for each epic behind one that ended without being merged, however far behind."""
    lost = {epic.name.epic for epic in run.epics if epic.state in ENDED_EPIC and not epic.merged}
    causes: dict[str, Cause] = {}
    if not lost:
        return causes
    epics = {epic.name.epic: epic for epic in run.epics}
    for wave in graph.waves(_dependencies(run)):
        for key in wave:
            missing = [each for each in epics[key].depends_on if each in lost]
            if missing and epics[key].state == pb.EPIC_STATE_BLOCKED:
                causes[key] = Cause(f"epic {missing[0]}, which it depends on, was not merged")
                lost.add(key)
    return causes


def _dependencies(run: RunView) -> dict[str, tuple[str, ...]]:
    return {epic.name.epic: epic.depends_on for epic in run.epics}


# The life of an epic.


def _readied(run: RunView, causes: Mapping[str, Cause]) -> Iterator[Action]:
    merged = _merged(run)
    for epic in run.epics:
        if _is_ready(epic, merged, causes) and epic.state == pb.EPIC_STATE_BLOCKED:
            yield ReadyEpic(epic.name)


def _is_ready(epic: EpicView, merged: set[str], causes: Mapping[str, Cause]) -> bool:
    """Says whether nothing but a free slot keeps an epic's pending tasks from running."""
    if epic.state in ENDED_EPIC or epic.name.epic in causes:
        return False
    return epic.state != pb.EPIC_STATE_BLOCKED or merged.issuperset(epic.depends_on)


def _merged(run: RunView) -> set[str]:
    return {epic.name.epic for epic in run.epics if epic.merged}


def _wound_up(run: RunView, causes: Mapping[str, Cause], connected: bool) -> Iterator[Action]:
    """Yields what brings epics to their ends: stops and skips where there is a cause, merges, ends."""
    for epic in run.epics:
        cause = causes.get(epic.name.epic)
        if cause:
            yield from _cut_short(epic, cause)
        if epic.state in ENDED_EPIC or epic.merging or _busy(epic):
            continue
        if cause or not any(_startable(task) for task in epic.tasks):
            yield from closing.closed(epic, cause, connected=connected)


def _cut_short(epic: EpicView, cause: Cause) -> Iterator[Action]:
    for task in epic.tasks:
        if cause.stops and task.live_attempt and not task.stopping:
            yield StopAttempt(task.live_attempt, cause.reason)
        if _startable(task):
            yield SkipTask(task.name, cause.reason)


def _startable(task: TaskView) -> bool:
    return task.state == pb.TASK_STATE_PENDING and task.live_attempt is None


def _live(task: TaskView) -> bool:
    return task.live_attempt is not None or task.state in _AT_WORK


def _busy(epic: EpicView) -> bool:
    return any(_live(task) for task in epic.tasks)


# The end of a run.


def _run_ended(run: RunView, connected: bool) -> Iterator[Action]:
    """Yields the merge into the user's branch, or the end, once every epic has ended."""
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
    else:
        yield FinishRun(run.name, pb.RUN_STATE_SUCCEEDED)


def _unfinished(epic: EpicView) -> bool:
    return epic.state not in ENDED_EPIC or epic.merging or _busy(epic)


def _shortfall(run: RunView) -> str:
    """Returns in plain words which epics did not succeed."""
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


# What starts.


class _Queue:
    """The epics of a run that could start a task now, and how many sessions the run has."""

    def __init__(
        self,
        run: RunView,
        place: int,
        causes: Mapping[str, Cause],
        typical_seconds: float | None,
        *,
        may_start: bool,
    ) -> None:
        self.run = run
        self.place = place
        self.live = sum(_live(task) for epic in run.epics for task in epic.tasks)
        self._may_start = may_start and run.state in _STARTING
        self._causes = causes
        self._typical_seconds = typical_seconds

    def has_next(self) -> bool:
        return self._may_start and self.live < self.run.max_parallel and bool(self._best_last)

    def start_next(self) -> StartTask:
        self.live += 1
        task = next(filter(_startable, self._best_last.pop().tasks))
        return StartTask(task.name.attempt(task.attempts + 1))

    # Made when first asked for: sorting is dear, and most snapshots have no free slot.
    @cached_property
    def _best_last(self) -> list[EpicView]:
        merged = _merged(self.run)
        waiting = [
            epic
            for epic in self.run.epics
            if _is_ready(epic, merged, self._causes)
            and not (epic.merging or _busy(epic))
            and (task := next(filter(_startable, epic.tasks), None))
            and not task.held
        ]
        work = _work_ahead(self.run, self._typical_seconds)
        return sorted(waiting, key=lambda epic: (-epic.priority, work[epic.name.epic], -epic.index))


def _starts(queues: list[_Queue], free: dict[str, int]) -> Iterator[Action]:
    """Yields the starts that fill the `free` slots; the run with the fewest sessions goes first."""
    for queue in queues:
        if queue.run.worker in free:
            free[queue.run.worker] -= queue.live
    while able := [queue for queue in queues if free.get(queue.run.worker, 0) > 0 and queue.has_next()]:
        queue = min(able, key=lambda each: (each.live, each.place))
        free[queue.run.worker] -= 1
        yield queue.start_next()


def _work_ahead(run: RunView, typical_seconds: float | None) -> dict[str, float]:
    """Returns for each epic its remaining work plus the longest chain of work that waits for it.

    In seconds, or in tasks where nothing is known about their length. Without
    the chains, plans with dependencies took 1.1 to 1.3 times the lower bound in
    tests/bench/makespan.py; with them 1.01.
    """
    typical = typical_seconds or _mean_estimate(run) or 1.0
    remaining = {epic.name.epic: _remaining(epic, typical) for epic in run.epics}
    return graph.lengths_ahead(_dependencies(run), remaining)


def _remaining(epic: EpicView, typical: float) -> float:
    if epic.state in ENDED_EPIC:
        return 0.0
    pending = [task for task in epic.tasks if task.state == pb.TASK_STATE_PENDING]
    return sum(typical if task.estimate is None else task.estimate for task in pending)


def _mean_estimate(run: RunView) -> float:
    given = [task.estimate for epic in run.epics for task in epic.tasks if task.estimate is not None]
    return sum(given) / len(given) if given else 0.0
