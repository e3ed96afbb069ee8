"""The remaining time of a run, estimated from its plan and the durations of its tasks. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from heddle import pb
from heddle.plan.graphs import graph
from heddle.plan.graphs.analysis import critical_path, dependencies, makespan
from heddle.plan.graphs.task_graph import EpicTasks

# A task that exceeds its estimate is assumed to need this share of its elapsed time again.
_OVERDUE: Final = 0.1

# The largest factor by which an estimate is corrected, however wrong earlier estimates were.
_FURTHEST: Final = 4.0


_GOING_ON: Final = frozenset({pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING})


@dataclass(frozen=True)
class LaneStand:
    """A candidate of a task, as part of the input of a forecast."""

    number: int
    state: "pb.TaskState.ValueType"
    # Like that of a task.
    took: float | None = None


@dataclass(frozen=True)
class TaskStand:
    """A task as the input of a forecast. Durations are in seconds."""

    epic: str
    state: "pb.TaskState.ValueType"
    # The estimate of the plan. None: the plan has none.
    estimate: float | None = None
    # How long its latest attempt took, or has run so far, without the wait for an answer to its
    # question. None: there is none.
    took: float | None = None
    # Tasks of other epics, as EPIC/TASK, that end before it starts.
    needs: tuple[str, ...] = ()
    # Its key, if the plan has needs.
    task: str = ""
    # True: its work is complete and under review, or a review has rejected it, or its candidates are compared.
    in_review: bool = False
    # Its candidates, once they have started.
    lanes: tuple[LaneStand, ...] = ()
    # The number of the chosen candidate. 0: none.
    chosen: int = 0

    @property
    def duration(self) -> float | None:
        """How long its accepted work took: that of a chosen candidate, which it only takes over."""
        if not self.lanes:
            return self.took
        return next((lane.took for lane in self.lanes if lane.number == self.chosen), None)


def forecast(
    plan: pb.Plan, tasks: Sequence[TaskStand], parallel: int, waiting: Collection[str] = ()
) -> pb.Forecast:
    """Returns the remaining time; `tasks` are in planned order, `parallel` is at least 1.

    `waiting` has the keys of epics that wait for the operator, besides those with a waiting task.
    """
    measured = [task for task in tasks if task.state == pb.TASK_STATE_ACCEPTED and task.duration is not None]
    found = pb.Forecast(measured_tasks=len(measured))
    left: dict[str, list[float]] = {epic.key: [] for epic in plan.epics}
    still: dict[str, list[tuple[str, tuple[str, ...]]]] = {epic.key: [] for epic in plan.epics}
    open_tasks = [task for task in tasks if _is_open(task)]
    for task in open_tasks:
        expected = _expected(task, tasks, measured)
        if expected is None:
            return found
        left[task.epic].append(_left(task, expected))
        still[task.epic].append((task.task, task.needs))
    epics = [EpicTasks(epic.key, still[epic.key], tuple(epic.depends_on)) for epic in plan.epics]
    path, length = critical_path(epics, left)
    path = [key for key in path if sum(left[key])]
    at_least = max(length, sum(map(sum, left.values())) / parallel)
    found.remaining.FromMilliseconds(round(makespan(plan, left, parallel, epics) * 1000))
    found.at_least.FromMilliseconds(round(at_least * 1000))
    found.critical_path.extend(path)
    blocked = {*waiting, *(task.epic for task in tasks if task.state == pb.TASK_STATE_WAITING)}
    if blocked:
        sums = {key: sum(lengths) for key, lengths in left.items()}
        ahead = graph.lengths_ahead(dependencies(plan), sums)
        found.after_operator.FromMilliseconds(round(max(ahead[key] for key in blocked) * 1000))
    return found


def _left(task: TaskStand, expected: float) -> float:
    """Returns the rest of a task of which a session takes `expected` seconds."""
    if task.chosen or (task.in_review and task.lanes):
        # Its work is only compared or taken over.
        return 0.0
    if task.in_review:
        return expected * _OVERDUE
    if task.state == pb.TASK_STATE_PENDING:
        return expected
    if not task.lanes:
        return _rest(expected, task.took)
    # Without candidates that have not ended, only the choice of one is missing.
    return max((_lane_left(lane, expected) for lane in task.lanes if _is_open(lane)), default=0.0)


def _lane_left(lane: LaneStand, expected: float) -> float:
    return expected if lane.state == pb.TASK_STATE_PENDING else _rest(expected, lane.took)


def _rest(expected: float, took: float | None) -> float:
    return expected if took is None else max(expected - took, took * _OVERDUE)


def _is_open(task: TaskStand | LaneStand) -> bool:
    return task.state == pb.TASK_STATE_PENDING or task.state in _GOING_ON


def _expected(task: TaskStand, tasks: Sequence[TaskStand], measured: Sequence[TaskStand]) -> float | None:
    """Returns the total duration of a task: its corrected estimate, or else the average of others."""
    if task.estimate is not None:
        return task.estimate * _correction(task.estimate, measured)
    if measured:
        # Running tasks count too: if they take long, the average of ended ones is too short.
        going_on = [each for each in tasks if each.state in _GOING_ON]
        return sum(_spent(each) for each in [*measured, *going_on]) / len(measured)
    given = [each.estimate for each in tasks if each.estimate is not None]
    return sum(given) / len(given) if given else None


def _spent(task: TaskStand) -> float:
    """Returns how long a task took or has run so far; of candidates at work, the longest counts."""
    if task.state == pb.TASK_STATE_ACCEPTED:
        return task.duration or 0.0
    return max((lane.took or 0.0 for lane in task.lanes), default=task.took or 0.0)


def _correction(estimate: float, measured: Sequence[TaskStand]) -> float:
    """Returns the factor between actual and estimated durations of tasks that had an estimate.

    Their total time is weighed against that of the task itself: many minutes that took half as
    long say much about the next minute, but a few quick seconds say little about the next hour.
    """
    judged = [each for each in measured if each.estimate]
    estimated = sum(each.estimate or 0.0 for each in judged)
    if not estimated:
        return 1.0
    ratio = sum(map(_spent, judged)) / estimated
    ratio = min(max(ratio, 1 / _FURTHEST), _FURTHEST)
    return (ratio * estimated + estimate) / (estimated + estimate)
