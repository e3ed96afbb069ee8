"""How long a run has still to go: a guess from its plan's estimates and from what its tasks took. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from heddle import pb
from heddle.plan.analysis import critical_path, makespan

# A task that takes longer than was thought goes on for this share of the time that it has run.
_OVERDUE: Final = 0.1

# However far off the tasks before it were, an estimate is stretched or shortened this many times at most.
_FURTHEST: Final = 4.0


_GOING_ON: Final = frozenset({pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING})


@dataclass(frozen=True)
class TaskStand:
    """A task as a forecast sees it. Lengths are seconds."""

    epic: str
    state: "pb.TaskState.ValueType"
    # What its author expects. None: did not say.
    estimate: float | None = None
    # How long its newest attempt took, or has run by now. None: it had none.
    took: float | None = None


def forecast(plan: pb.Plan, tasks: Sequence[TaskStand], parallel: int) -> pb.Forecast:
    """Returns what is left; `tasks` are in planned order, `parallel` is at least 1."""
    measured = [task for task in tasks if task.state == pb.TASK_STATE_ACCEPTED and task.took is not None]
    found = pb.Forecast(measured_tasks=len(measured))
    left: dict[str, list[float]] = {epic.key: [] for epic in plan.epics}
    open_tasks = [task for task in tasks if _is_open(task)]
    for task in open_tasks:
        expected = _expected(task, tasks, measured)
        if expected is None:
            return found
        if task.state != pb.TASK_STATE_PENDING and task.took is not None:
            expected = max(expected - task.took, task.took * _OVERDUE)
        left[task.epic].append(expected)
    sums = {key: sum(lengths) for key, lengths in left.items()}
    path = [key for key in critical_path(plan, sums) if sums[key]]
    at_least = max(sum(sums[key] for key in path), sum(sums.values()) / parallel)
    found.remaining.FromMilliseconds(round(makespan(plan, left, parallel) * 1000))
    found.at_least.FromMilliseconds(round(at_least * 1000))
    found.critical_path.extend(path)
    return found


def _is_open(task: TaskStand) -> bool:
    return task.state == pb.TASK_STATE_PENDING or task.state in _GOING_ON


def _expected(task: TaskStand, tasks: Sequence[TaskStand], measured: Sequence[TaskStand]) -> float | None:
    """Returns what the whole task will take: its estimate, corrected; without one, what others took."""
    if task.estimate is not None:
        return task.estimate * _correction(task.estimate, measured)
    if measured:
        # What goes on counts too: where it takes long, the average of what has ended is too short.
        going_on = [each for each in tasks if each.state in _GOING_ON]
        return sum(each.took or 0.0 for each in [*measured, *going_on]) / len(measured)
    given = [each.estimate for each in tasks if each.estimate is not None]
    return sum(given) / len(given) if given else None


def _correction(estimate: float, measured: Sequence[TaskStand]) -> float:
    """Returns how many times its estimate a task will take, judged by those that had one.

    Their time weighs against the task's own: many minutes that took half as long say
    much about the next minute, a few quick seconds next to nothing about the next hour.
    """
    judged = [each for each in measured if each.estimate]
    estimated = sum(each.estimate or 0.0 for each in judged)
    if not estimated:
        return 1.0
    ratio = sum(each.took or 0.0 for each in judged) / estimated
    ratio = min(max(ratio, 1 / _FURTHEST), _FURTHEST)
    return (ratio * estimated + estimate) / (estimated + estimate)
