"""Predicts how a plan will run. Pure; accepts only valid plans."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

from heddle import pb
from heddle.plan import globs, graph

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
    epics = {key: sum(tasks) for key, tasks in lengths.items()}
    path = critical_path(plan, epics)
    critical_length = sum(epics[key] for key in path)
    total = sum(epics.values())
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


def critical_path(plan: pb.Plan, lengths: Mapping[str, float]) -> list[str]:
    """Returns the keys along the longest chain of dependencies."""
    depends_on = dependencies(plan)
    ahead = graph.lengths_ahead(depends_on, lengths)
    dependents = graph.reversed_edges(depends_on)
    path: list[str] = []
    candidates: Sequence[str] = list(depends_on)
    while candidates:
        path.append(max(candidates, key=lambda key: ahead[key]))
        candidates = dependents[path[-1]]
    return path


def makespan(plan: pb.Plan, lengths: Mapping[str, Sequence[float]], parallel: int) -> float:
    """Returns the end of the last task in the schedule from `played`."""
    return max(
        (span.end for spans in played(plan, lengths, parallel).values() for span in spans), default=0.0
    )


def played(plan: pb.Plan, lengths: Mapping[str, Sequence[float]], parallel: int) -> dict[str, list[Span]]:
    """Simulates the plan in the scheduler's order with tasks of these lengths; returns when each epic's tasks run.

    An epic without tasks, such as one that has ended, takes no time.
    """
    depends_on = dependencies(plan)
    dependents = graph.reversed_edges(depends_on)
    waiting_for = {key: len(keys) for key, keys in depends_on.items()}
    work = graph.lengths_ahead(depends_on, {key: sum(tasks) for key, tasks in lengths.items()})
    rank = {epic.key: (priority(epic), place) for place, epic in enumerate(plan.epics)}
    spans: dict[str, list[Span]] = {key: [] for key in lengths}
    running: list[tuple[float, str]] = []
    now = 0.0

    def queued(key: str) -> tuple[int, float, int, str]:
        first, place = rank[key]
        return first, -work[key], place, key

    ready = [queued(key) for key, count in waiting_for.items() if not count]
    heapq.heapify(ready)
    while ready or running:
        while ready and len(running) < parallel:
            key = heapq.heappop(ready)[-1]
            length = 0.0
            if lengths[key]:
                length = lengths[key][len(spans[key])]
                spans[key].append(Span(now, now + length))
            work[key] -= length
            heapq.heappush(running, (now + length, key))
        now, key = heapq.heappop(running)
        if len(spans[key]) < len(lengths[key]):
            heapq.heappush(ready, queued(key))
            continue
        for dependent in dependents[key]:
            waiting_for[dependent] -= 1
            if not waiting_for[dependent]:
                heapq.heappush(ready, queued(dependent))
    return spans


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
