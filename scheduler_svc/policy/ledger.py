"""Tracks how much of each budget running sessions have reserved, and how much a new one may have. Pure.

A budget is a promise to its owner, so sessions that share a budget each reserve a share of
it before they start. The cost of a turn is known only after the turn, so a session can overrun
its share by one turn. While other sessions share the budget, a session is stopped before its
next turn could overrun the budget itself. The last session alone may run until the budget is
used up. The total overrun of a budget is therefore at most one turn, as long as no turn costs
more than the most expensive earlier turn of its session.

A session that is ended at its share would meet the same end with as small a share, and what its attempts
cost is lost. Its task therefore starts next to others only with twice as much. Until that is free, it
waits for the others to end: the first task that starts alone has all that is left.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.policy.actions import StopAttempt
from scheduler_svc.policy.snapshot import EpicView, RunView, TaskView

# Key of a budget: a resource name, or the path of a project.
_Key: TypeAlias = str | RunName | EpicName | TaskName

# The minimum share of a task, as a multiple of the typical cost of a task, because some cost more than most, and of
# the share that was too small for its last session.
_ROOM: Final = 2

_USED_UP: Final = "its part of a budget that other sessions share is used up; it runs again with a larger part once that is free"

# In these states ends an attempt whose session was stopped, or ended to be resumed.
_ENDED_EARLY: Final = frozenset({pb.ATTEMPT_STATE_STOPPED, pb.ATTEMPT_STATE_PARKED})


def outgrown(state: int | None, share: int | None, cost: int, turn: int) -> int:
    """Returns the share that was too small for the last attempt of a task, or its cost if that is more; 0: it was not.

    `state` is that of the attempt, None: there is none; `turn` is the cost of its most expensive turn. All in micros.
    """
    if state not in _ENDED_EARLY or share is None or cost + turn <= share:
        return 0
    return max(share, cost)


class Ledger:
    """The free part of each budget, neither spent nor reserved for a running session. In micros."""

    def __init__(self, runs: Sequence[RunView]) -> None:
        self._free: dict[_Key, int] = {}
        self._live: defaultdict[_Key, list[TaskView]] = defaultdict(list)
        for run in runs:
            if run.project_budget is not None:
                self._free[run.project] = run.project_budget - run.project_spent
            if run.budget is not None:
                spent = sum(task.spent for epic in run.epics for task in epic.tasks)
                self._free[run.name] = run.budget - spent
            for epic in run.epics:
                self._add(epic)
        for run in runs if self._free else ():
            for epic in run.epics:
                for task in epic.sessions:
                    if task.live and not task.checking and not task.takes_over:
                        self._promise(run, epic, task)

    def _add(self, epic: EpicView) -> None:
        if epic.budget is not None:
            self._free[epic.name] = epic.budget - sum(task.spent for task in epic.tasks)
        for task in epic.tasks:
            if task.budget is not None:
                self._free[task.name] = task.budget - task.spent

    def _promise(self, run: RunView, epic: EpicView, task: TaskView) -> None:
        for key in self._above(run, epic, task):
            self._free[key] -= task.reserved
            self._live[key].append(task)

    def _above(self, run: RunView, epic: EpicView, task: TaskView) -> list[_Key]:
        """Returns the budgets that apply to a task."""
        keys: tuple[_Key, ...] = (run.project, run.name, epic.name, task.whole or task.name)
        return [key for key in keys if key in self._free]

    def share(
        self, run: RunView, epic: EpicView, task: TaskView, at_once: int, of_task: int = 1
    ) -> int | None:
        """Returns the amount that a session of the task may spend; 0: none now; None: no budget applies.

        `at_once` is the number of sessions of its run that could start now, `of_task` that of candidates of the
        same task among them. If no session runs below a budget, even a small rest of it may be spent, so that
        the work always progresses.
        """
        least = max(1, run.typical_cost, _ROOM * task.outgrown)
        room = _ROOM * max(run.typical_cost, task.outgrown)
        shares = []
        for key in self._above(run, epic, task):
            free = self._free[key]
            if self._live[key] and free < least:
                return 0
            parts = at_once if key in {run.project, run.name} else of_task
            shares.append(max(free // parts, min(free, room)))
        return max(0, min(shares)) if shares else None

    def reserve(self, run: RunView, epic: EpicView, task: TaskView, share: int) -> None:
        """Reserves a share of the free amounts for a session that starts now."""
        for key in self._above(run, epic, task):
            self._free[key] -= share
            self._live[key].append(task)

    def stops(self, run: RunView) -> Iterator[StopAttempt]:
        """Yields the sessions of a run whose next turn could exceed a shared budget."""
        for epic in run.epics if self._free else ():
            for task in epic.sessions:
                if task.live_attempt is None or task.checking or task.stopping:
                    continue
                above = self._above(run, epic, task)
                for key in above:
                    staying = [each for each in self._live[key] if not each.stopping]
                    uncovered = task.turn - task.reserved
                    if len(staying) > 1 and uncovered > 0 and self._free[key] < uncovered:
                        self._end(task, above)
                        yield StopAttempt(task.live_attempt, _USED_UP, counts=False)
                        break

    def _end(self, task: TaskView, above: Sequence[_Key]) -> None:
        """Counts a session that is about to stop no longer among those that share the budgets above it."""
        for key in above:
            self._live[key] = [each for each in self._live[key] if each.name != task.name]
