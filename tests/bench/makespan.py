"""Makespan of random plans over its lower bound: first in first out, and `policy.decide`.

Every plan is simulated with the real `decide` on a board in memory; only time is
simulated. Task durations are log-normal, as the work of agents is. The bound is one that no
order can beat: all work spread evenly over the slots, or the longest chain.

python -m tests.bench.makespan
"""

import heapq
import math
import random
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from heddle import pb
from heddle.names import EpicName, TaskName
from heddle.plan.graphs import graph
from scheduler_svc.policy import decision
from scheduler_svc.policy.actions import MergeEpic, StartTask
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.snapshot import EpicView
from tests.support.scheduling import RUN, a_run, a_snapshot, a_task, an_epic

SEED = 7
SLOTS = (4, 8, 16, 32, 64)
# With and without dependencies: 200 plans in all.
PLANS_PER_SLOTS = 20

# Median minutes of a task and the spread of its logarithm.
MEDIAN = 10.0
SPREAD = 0.8


class Work(NamedTuple):
    """A random plan: the minutes of each epic's tasks in order, and what each epic waits for."""

    minutes: dict[str, list[float]]
    depends_on: dict[str, tuple[str, ...]]

    def lower_bound(self, slots: int) -> float:
        totals = {key: sum(tasks) for key, tasks in self.minutes.items()}
        longest = max(graph.lengths_ahead(self.depends_on, totals).values())
        return max(longest, sum(totals.values()) / slots)


class Row(NamedTuple):
    """One line of the table: the mean and the worst ratio of a group of plans."""

    plans: str
    order: str
    mean: float
    worst: float


Estimate = Callable[[float], float]


def random_work(rng: random.Random, slots: int, *, chained: bool) -> Work:
    """Returns a plan with two to three epics a slot, so that order matters and the bound can be met."""
    keys = [f"e{number}" for number in range(rng.randint(2 * slots, 3 * slots))]
    minutes = {
        key: [rng.lognormvariate(math.log(MEDIAN), SPREAD) for _ in range(rng.randint(2, 7))] for key in keys
    }
    depends_on: dict[str, tuple[str, ...]] = {
        key: tuple(rng.sample(keys[:place], 1)) if chained and place >= slots and rng.random() < 0.3 else ()
        for place, key in enumerate(keys)
    }
    return Work(minutes, depends_on)


def first_in_first_out(work: Work, slots: int) -> float:
    """Returns the makespan if tasks start in the order in which they became ready."""
    dependents = graph.reversed_edges(work.depends_on)
    waiting_for = {key: len(keys) for key, keys in work.depends_on.items()}
    left = {key: deque(tasks) for key, tasks in work.minutes.items()}
    ready = deque(key for key, count in waiting_for.items() if not count)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            key = ready.popleft()
            heapq.heappush(running, (now + left[key].popleft(), key))
        now, key = heapq.heappop(running)
        if left[key]:
            ready.append(key)
            continue
        for dependent in dependents[key]:
            waiting_for[dependent] -= 1
            if not waiting_for[dependent]:
                ready.append(dependent)
    return now


def decided(work: Work, slots: int, estimate: Estimate) -> float:
    """Returns the makespan if `policy.decide` chooses, with the durations that `estimate` returns for tasks."""
    board = Board(a_snapshot(a_run(*_epics(work, estimate), max_parallel=slots), slots=slots))
    running: list[tuple[float, TaskName]] = []
    now = 0.0
    while True:
        for task in _act(board):
            place = int(task.task.removeprefix("t")) - 1
            heapq.heappush(running, (now + work.minutes[task.epic][place], task))
        if not running:
            return now
        now, task = heapq.heappop(running)
        board.end_attempt(task, pb.TASK_STATE_ACCEPTED)


def _act(board: Board) -> Iterator[TaskName]:
    """Decides and acts until only sessions are running; merges end immediately. Yields the tasks that started."""
    changed = True
    while changed:
        changed = False
        for action in decision.decide(board.snapshot):
            board.act(action)
            if isinstance(action, StartTask):
                yield action.attempt.parent
            else:
                changed = True
            if isinstance(action, MergeEpic):
                board.end_merge(action.epic, merged=True)


def _epics(work: Work, estimate: Estimate) -> Iterator[EpicView]:
    for key, minutes in work.minutes.items():
        tasks = tuple(
            a_task(f"t{place}", epic=key, estimate=estimate(length))
            for place, length in enumerate(minutes, 1)
        )
        depends_on = work.depends_on[key]
        state = pb.EPIC_STATE_BLOCKED if depends_on else pb.EPIC_STATE_READY
        yield an_epic(key, name=EpicName(RUN.run, key), tasks=tasks, depends_on=depends_on, state=state)


def run(plans: int = PLANS_PER_SLOTS, slots: Sequence[int] = SLOTS) -> list[Row]:
    """Measures this many plans for each number of slots; the same plans each time."""
    rows = []
    for chained in (False, True):
        for number in slots:
            rng = random.Random(f"{SEED} {number} {chained}")
            ratios = _ratios([random_work(rng, number, chained=chained) for _ in range(plans)], number)
            name = f"{plans} plans, {number} slots" + (", dependencies" if chained else "")
            rows += [Row(name, order, statistics.mean(each), max(each)) for order, each in ratios.items()]
    return rows


def _ratios(works: Sequence[Work], slots: int) -> Mapping[str, list[float]]:
    rng = random.Random(SEED)

    def guess(minutes: float) -> float:
        return minutes * rng.lognormvariate(0, 0.5)

    orders: dict[str, Callable[[Work], float]] = {
        "first in, first out": lambda work: first_in_first_out(work, slots),
        "decide": lambda work: decided(work, slots, lambda minutes: minutes),
        "decide, rough estimates": lambda work: decided(work, slots, guess),
    }
    return {name: [order(work) / work.lower_bound(slots) for work in works] for name, order in orders.items()}


def main() -> None:
    """Prints the table."""
    print(f"{'makespan / lower bound':32} {'order':26} {'mean':>7} {'worst':>7}")
    for row in run():
        print(f"{row.plans:32} {row.order:26} {row.mean:7.3f} {row.worst:7.3f}")


if __name__ == "__main__":
    main()
