"""Predicts how a plan will run. Pure; accepts only valid plans."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

from heddle import globs, pb
from heddle.plan.graphs import graph, task_graph
from heddle.plan.graphs.task_graph import EpicTasks

# The default priority of an epic or task.
DEFAULT_PRIORITY: Final = 999


class Overlap(NamedTuple):
    """Two epics, by key, that expect to write the same paths, and the globs that overlap."""

    epic: str
    other: str
    glob: str
    other_glob: str


class Span(NamedTuple):
    """When a task runs, in seconds (or tasks) from the start of its run."""

    start: float
    end: float


@dataclass(frozen=True)
class Analysis:
    """The result of `heddle plan check`. Lengths are in seconds, or in tasks if the plan has no estimates."""

    in_seconds: bool
    # How many tasks may run at the same time.
    parallel: int
    # Keys of epics; each wave can start once all earlier waves are merged.
    waves: tuple[tuple[str, ...], ...]
    # Keys of the epics along the longest chain of dependencies.
    critical_path: tuple[str, ...]
    critical_length: float
    total_work: float
    # The shortest possible duration in any order.
    lower_bound: float
    # The duration in the scheduler's order if every estimate is correct.
    makespan: float
    overlaps: tuple[Overlap, ...]


def analyse(plan: pb.Plan, parallel: int) -> Analysis:
    """Returns the whole analysis; `parallel` is at least 1."""
    lengths = task_lengths(plan)
    path, critical_length = critical_path(epic_tasks(plan), lengths)
    total = sum(map(sum, lengths.values()))
    return Analysis(
        in_seconds=any(task.HasField("estimate") for epic in plan.epics for task in epic.tasks),
        parallel=parallel,
        waves=tuple(tuple(wave) for wave in graph.waves(dependencies(plan))),
        critical_path=tuple(path),
        critical_length=critical_length,
        total_work=total,
        lower_bound=max(critical_length, total / parallel),
        makespan=makespan(plan, lengths, parallel),
        overlaps=tuple(overlaps(plan)),
    )


def dependencies(plan: pb.Plan) -> dict[str, tuple[str, ...]]:
    """Returns for each epic the keys of those that it depends on."""
    return {epic.key: tuple(epic.depends_on) for epic in plan.epics}


def epic_tasks(plan: pb.Plan) -> list[EpicTasks]:
    """Returns the epics of a plan with their tasks in planned order, and what these wait for."""
    return [
        EpicTasks(
            epic.key, [(task.key, tuple(task.needs)) for task in planned_order(epic)], tuple(epic.depends_on)
        )
        for epic in plan.epics
    ]


def priority(item: pb.PlanEpic | pb.PlanTask) -> int:
    """Returns the priority of an epic or task; lower runs first."""
    return item.priority if item.HasField("priority") else DEFAULT_PRIORITY


def planned_order(epic: pb.PlanEpic) -> list[pb.PlanTask]:
    """Returns the tasks of an epic in the order in which they run."""
    return sorted(epic.tasks, key=priority)


def task_lengths(plan: pb.Plan) -> dict[str, list[float]]:
    """Returns for each epic the lengths of its tasks in planned order.

    A task without an estimate counts as the mean of the given estimates, or as 1 if
    there are none.
    """
    given = [_seconds(task) for epic in plan.epics for task in epic.tasks if task.HasField("estimate")]
    typical = sum(given) / len(given) if given else 1.0
    return {
        epic.key: [_seconds(task) if task.HasField("estimate") else typical for task in planned_order(epic)]
        for epic in plan.epics
    }


def critical_path(
    epics: Sequence[EpicTasks], lengths: Mapping[str, Sequence[float]]
) -> tuple[list[str], float]:
    """Returns the epics along the longest chain of work, by key, and its length.

    `lengths` has those of each epic's tasks. Without needs between tasks, a chain consists of whole epics.
    """
    if not _has_needs(epics):
        of_epic = {key: sum(tasks) for key, tasks in lengths.items()}
        path = _longest_chain({epic.key: epic.depends_on for epic in epics}, of_epic)
        return path, sum(of_epic[key] for key in path)
    of_task = _by_task(epics, lengths)
    chain = _longest_chain(task_graph.dependencies(epics), of_task)
    keys = [name.partition("/")[0] for name in chain]
    return [key for key, before in zip(keys, ["", *keys], strict=False) if key != before], sum(
        of_task[name] for name in chain
    )


def _longest_chain(waits_for: Mapping[str, Collection[str]], lengths: Mapping[str, float]) -> list[str]:
    ahead = graph.lengths_ahead(waits_for, lengths)
    dependents = graph.reversed_edges(waits_for)
    path: list[str] = []
    # Parts that wait for each other have no place in a chain.
    candidates = list(ahead)
    while candidates:
        path.append(max(candidates, key=lambda key: ahead[key]))
        candidates = [key for key in dependents[path[-1]] if key in ahead]
    return path


def _has_needs(epics: Sequence[EpicTasks]) -> bool:
    return any(needs for epic in epics for _, needs in epic.tasks)


def _by_task(epics: Sequence[EpicTasks], lengths: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns the length of each task by EPIC/TASK."""
    return {
        f"{epic.key}/{task}": length
        for epic in epics
        for (task, _), length in zip(epic.tasks, lengths[epic.key], strict=True)
    }


def makespan(
    plan: pb.Plan,
    lengths: Mapping[str, Sequence[float]],
    parallel: int,
    epics: Sequence[EpicTasks] | None = None,
) -> float:
    """Returns the end of the last task in the schedule from `played`."""
    spans = played(plan, lengths, parallel, epics)
    return max((span.end for each in spans.values() for span in each), default=0.0)


def played(
    plan: pb.Plan,
    lengths: Mapping[str, Sequence[float]],
    parallel: int,
    epics: Sequence[EpicTasks] | None = None,
) -> dict[str, list[Span]]:
    """Simulates the plan in the scheduler's order with tasks of these lengths; returns when each epic's tasks run.

    An epic without tasks, such as one that has ended, takes no time. `epics` has the tasks to which the
    lengths belong; absent: all of the plan.
    """
    return _Play(plan, lengths, epic_tasks(plan) if epics is None else epics).run(parallel)


class _Play:
    """One simulation of a plan."""

    def __init__(
        self, plan: pb.Plan, lengths: Mapping[str, Sequence[float]], epics: Sequence[EpicTasks]
    ) -> None:
        self._lengths = lengths
        self._rank = {epic.key: (priority(epic), place) for place, epic in enumerate(plan.epics)}
        depends_on = dependencies(plan)
        self._dependents = graph.reversed_edges(depends_on)
        self._waiting_for = {key: len(keys) for key, keys in depends_on.items()}
        self._spans: dict[str, list[Span]] = {key: [] for key in lengths}
        self._ready: list[tuple[int, float, int, str]] = []
        # Only with needs between tasks: the longest chain of work from each task on, and the tasks by epic.
        self._ahead: dict[str, float] = {}
        self._tasks: dict[str, Sequence[tuple[str, Sequence[str]]]] = {}
        if _has_needs(epics):
            self._tasks = {epic.key: epic.tasks for epic in epics}
            self._ahead = graph.lengths_ahead(task_graph.dependencies(epics), _by_task(epics, lengths))
        self._left = graph.lengths_ahead(depends_on, {key: sum(tasks) for key, tasks in lengths.items()})
        self._ended: set[str] = set()
        # Epics whose next task needs this one.
        self._held: dict[str, list[str]] = {}

    def run(self, parallel: int) -> dict[str, list[Span]]:
        running: list[tuple[float, str]] = []
        now = 0.0
        for key, count in self._waiting_for.items():
            if not count:
                self._offer(key)
        while self._ready or running:
            while self._ready and len(running) < parallel:
                key = heapq.heappop(self._ready)[-1]
                heapq.heappush(running, (self._start(key, now), key))
            now, key = heapq.heappop(running)
            self._end(key)
        return self._spans

    def _start(self, key: str, now: float) -> float:
        """Starts the next task of an epic; returns when it ends."""
        length = 0.0
        if self._lengths[key]:
            length = self._lengths[key][len(self._spans[key])]
            self._spans[key].append(Span(now, now + length))
        self._left[key] -= length
        return now + length

    def _end(self, key: str) -> None:
        done = len(self._spans[key])
        if done and self._tasks:
            ended = f"{key}/{self._tasks[key][done - 1][0]}"
            self._ended.add(ended)
            for each in self._held.pop(ended, ()):
                self._offer(each)
        if done < len(self._lengths[key]):
            self._offer(key)
            return
        for dependent in self._dependents[key]:
            self._waiting_for[dependent] -= 1
            if not self._waiting_for[dependent]:
                self._offer(dependent)

    def _offer(self, key: str) -> None:
        """Lets the epic run its next task, once the tasks that this one needs have ended."""
        first, place = self._rank[key]
        work = self._left[key]
        done = len(self._spans[key])
        if self._tasks and done < len(self._lengths[key]):
            task, needs = self._tasks[key][done]
            work = self._ahead.get(f"{key}/{task}", work)
            if missing := next((each for each in needs if self._is_open(each)), None):
                self._held.setdefault(missing, []).append(key)
                return
        heapq.heappush(self._ready, (first, -work, place, key))

    def _is_open(self, task: str) -> bool:
        return task in self._ahead and task not in self._ended


def overlaps(plan: pb.Plan) -> list[Overlap]:
    """Returns the pairs of epics whose `touches` overlap, each with the first pair of overlapping globs.

    If one epic depends on the other, the pair is left out: they never write at the
    same time.
    """
    before = _all_dependencies(plan)
    found = []
    for epic, other in combinations(plan.epics, 2):
        if epic.key in before[other.key] or other.key in before[epic.key]:
            continue
        pairs = ((glob, other_glob) for glob in epic.touches for other_glob in other.touches)
        meeting = next((pair for pair in pairs if globs.overlap(*pair)), None)
        if meeting:
            found.append(Overlap(epic.key, other.key, *meeting))
    return found


def _all_dependencies(plan: pb.Plan) -> dict[str, set[str]]:
    depends_on = dependencies(plan)
    found: dict[str, set[str]] = {}
    for wave in graph.waves(depends_on):
        for key in wave:
            direct = depends_on[key]
            found[key] = set(direct).union(*(found[each] for each in direct))
    return found


def _seconds(task: pb.PlanTask) -> float:
    return task.estimate.seconds + task.estimate.nanos / 1e9
