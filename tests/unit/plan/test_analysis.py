"""The forecast of what a plan does."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from heddle import pb
from heddle.plan.graphs import analysis, graph
from heddle.plan.graphs.analysis import Overlap, analyse


def an_epic(key: str, *seconds: int | None, after: str = "", **fields: Any) -> pb.PlanEpic:
    """Returns an epic with a task for each estimate (None: no estimate) that depends on the keys in `after`."""
    epic = pb.PlanEpic(key=key, depends_on=after.split(), **fields)
    for place, length in enumerate(seconds):
        task = epic.tasks.add(key=f"t{place}", prompt="x")
        if length is not None:
            task.estimate.seconds = length
    return epic


def a_plan(*epics: pb.PlanEpic) -> pb.Plan:
    return pb.Plan(name="p", epics=epics)


def test_groups_epics_in_waves() -> None:
    """Each wave waits for the previous waves."""
    plan = a_plan(an_epic("c", 1, after="a b"), an_epic("a", 1), an_epic("b", 1, after="a"), an_epic("d", 1))
    assert analyse(plan, 1).waves == (("a", "d"), ("b",), ("c",))


def test_finds_the_critical_path() -> None:
    """The critical path is the longest chain of epics, by the sums of their tasks' estimates."""
    plan = a_plan(
        an_epic("a", 10, 10), an_epic("b", 50), an_epic("c", 40, after="a"), an_epic("d", 5, after="a b")
    )
    result = analyse(plan, 2)
    assert result.critical_path == ("a", "c")
    assert result.critical_length == 60
    assert result.total_work == 115
    assert result.in_seconds


def test_lower_bound_is_the_work_or_the_critical_path() -> None:
    """The total work is the bound with few slots, the longest chain with many."""
    plan = a_plan(*(an_epic(key, 10, 10) for key in "abcd"))
    assert analyse(plan, 2).lower_bound == 40
    assert analyse(plan, 100).lower_bound == 20


def test_counts_tasks_where_nothing_is_estimated() -> None:
    """Without estimates each task counts as one unit."""
    result = analyse(a_plan(an_epic("a", None, None), an_epic("b", None)), 1)
    assert not result.in_seconds
    assert result.total_work == result.makespan == 3


def test_missing_estimates_count_as_the_mean_of_the_others() -> None:
    """A missing estimate is replaced by the mean of the others."""
    assert analyse(a_plan(an_epic("a", 10, None), an_epic("b", 20)), 1).total_work == 45


def test_orders_tasks_by_priority_then_place() -> None:
    """A task without a priority comes after those with one."""
    epic = pb.PlanEpic(
        key="a",
        tasks=[pb.PlanTask(key="x"), pb.PlanTask(key="y", priority=2), pb.PlanTask(key="z", priority=1)],
    )
    assert [task.key for task in analysis.planned_order(epic)] == ["z", "y", "x"]


def test_predicts_the_end() -> None:
    """The longest remaining work starts first: 3 + 3 and 2 + 2 + 2 on two slots end after six."""
    plan = a_plan(an_epic("a", 2), an_epic("b", 2), an_epic("c", 2), an_epic("d", 3, 3))
    assert analyse(plan, 2).makespan == 6


def test_predicts_that_priority_comes_first() -> None:
    """An explicit priority can make the plan take longer."""
    plan = a_plan(
        an_epic("a", 2), an_epic("b", 2, priority=1), an_epic("c", 2, priority=1), an_epic("d", 3, 3)
    )
    assert analyse(plan, 2).makespan == 8


def test_finds_epics_that_write_the_same_paths() -> None:
    """Each pair is found once, with its globs, unless one epic depends on the other, even indirectly."""
    epics = [an_epic("a", 1), an_epic("b", 1), an_epic("c", 1, after="a"), an_epic("d", 1, after="c")]
    for epic, globs in zip(
        epics, (["src/**"], ["web/**", "src/x.py"], ["src/**"], ["src/*.py"]), strict=True
    ):
        epic.touches.extend(globs)
    assert analyse(a_plan(*epics), 1).overlaps == (
        Overlap("a", "b", "src/**", "src/x.py"),
        Overlap("b", "c", "src/x.py", "src/**"),
        Overlap("b", "d", "src/x.py", "src/*.py"),
    )


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_end_is_never_before_the_bound_nor_after_doing_one_by_one(seed: int, parallel: int) -> None:
    """For random plans, bound ≤ end ≤ total work; one slot takes exactly the total work."""
    rng = random.Random(seed)
    keys = [f"e{number}" for number in range(rng.randint(1, 8))]
    plan = a_plan(
        *(
            an_epic(
                key,
                *(rng.randint(1, 20) for _ in range(rng.randint(1, 4))),
                after=" ".join(rng.sample(keys[:place], rng.randint(0, min(place, 2)))),
            )
            for place, key in enumerate(keys)
        )
    )
    result = analyse(plan, parallel)
    assert result.lower_bound <= result.makespan <= result.total_work
    assert analyse(plan, 1).makespan == result.total_work
    assert analyse(plan, len(keys)).makespan == result.critical_length


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"))))
def test_waves_hold_all_but_what_is_on_or_behind_a_cycle(some: dict[str, set[str]]) -> None:
    """A graph has cycles exactly if a key is in no wave, and each cycle is one."""
    edges = {key: some.get(key, set()) for key in "abcdef"}
    placed = [key for wave in graph.waves(edges) for key in wave]
    cycles = graph.cycles(edges)
    assert len(placed) == len(set(placed))
    assert bool(cycles) == (len(placed) < len(edges))
    for cycle in cycles:
        assert all(
            following in edges[key] for key, following in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        )


def test_a_task_without_a_priority_has_999() -> None:
    """Other priorities come before or after it, and the same one keeps the order of the plan."""
    epic = pb.PlanEpic(
        key="a",
        tasks=[
            pb.PlanTask(key="none"),
            pb.PlanTask(key="after", priority=1000),
            pb.PlanTask(key="before", priority=998),
            pb.PlanTask(key="same", priority=999),
        ],
    )
    assert [task.key for task in analysis.planned_order(epic)] == ["before", "none", "same", "after"]


def test_one_estimate_is_enough_for_seconds() -> None:
    """Lengths are in seconds, fractions included, as soon as a task has an estimate."""
    plan = a_plan(an_epic("a", 2, None))
    plan.epics[0].tasks[0].estimate.nanos = 500_000_000
    assert analyse(plan, 1).in_seconds
    assert analysis.task_lengths(plan) == {"a": [2.5, 2.5]}


def test_an_epic_without_tasks_takes_no_time() -> None:
    """What depends on it starts at once; without any task the end is the start."""
    plan = a_plan(an_epic("a"), an_epic("b", 5, after="a"))
    assert analysis.played(plan, {"a": [], "b": [5.0]}, 1) == {"a": [], "b": [(0.0, 5.0)]}
    assert analysis.makespan(plan, {"a": [], "b": []}, 1) == 0.0


def test_the_order_follows_what_remains() -> None:
    """With one slot, the epic with the most remaining work runs next, after each task."""
    plan = a_plan(an_epic("a", 5, 1), an_epic("b", 4, 4))
    spans = analysis.played(plan, analysis.task_lengths(plan), 1)
    assert spans == {"a": [(4.0, 9.0), (13.0, 14.0)], "b": [(0.0, 4.0), (9.0, 13.0)]}


def test_the_first_to_run_need_not_be_the_first_of_the_plan() -> None:
    """Priorities decide among the epics that are ready at the start."""
    keys = "abcdef"
    plan = a_plan(*(an_epic(key, 1, priority=9 - place) for place, key in enumerate(keys)))
    spans = analysis.played(plan, analysis.task_lengths(plan), 1)
    assert "".join(sorted(keys, key=lambda key: spans[key][0].start)) == "fedcba"


def test_lengths_ahead_are_those_of_the_longest_chain() -> None:
    """The own length counts; a key that nothing depends on has only that."""
    edges: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    ahead = graph.lengths_ahead(edges, {"a": 1, "b": 20, "c": 3, "d": 400})
    assert ahead == {"a": 421, "b": 420, "c": 403, "d": 400}


def test_needs_lengthen_the_critical_path_and_the_schedule() -> None:
    """A chain of work can change epics after any task; a task starts only after those that it needs."""
    plan = pb.Plan(name="Needs")
    for key, lengths in (("a", (5, 1)), ("b", (2, 3))):
        epic = plan.epics.add(key=key)
        for place, seconds in enumerate(lengths):
            epic.tasks.add(key=f"t{place}").estimate.seconds = seconds
    plan.epics[1].tasks[1].needs.append("a/t0")
    plan.epics[0].tasks[1].needs.append("b/t1")
    found = analysis.analyse(plan, 2)
    assert (found.critical_path, found.critical_length) == (("a", "b", "a"), 9.0)
    assert found.makespan == found.lower_bound == 9.0
    spans = analysis.played(plan, analysis.task_lengths(plan), 2)
    assert spans == {"a": [(0.0, 5.0), (8.0, 9.0)], "b": [(0.0, 2.0), (5.0, 8.0)]}
