"""Simulates plans in memory with the real policy."""

import pytest

from heddle import pb
from scheduler_svc.policy.simulation import play


def plan_of(*minutes: list[int], depends_on: dict[int, int] | None = None) -> pb.Plan:
    plan = pb.Plan(name="Simulated")
    for number, tasks in enumerate(minutes):
        epic = plan.epics.add(key=f"e{number}")
        for place, each in enumerate(tasks):
            epic.tasks.add(key=f"t{place}", prompt="Go").estimate.FromSeconds(60 * each)
    for epic_number, other in (depends_on or {}).items():
        plan.epics[epic_number].depends_on.append(f"e{other}")
    return plan


@pytest.mark.parametrize(
    ("max_parallel", "makespan", "busy"), [(1, 6 * 60, 1.0), (2, 3 * 60, 1.0), (4, 3 * 60, 0.5)]
)
def test_more_sessions_take_less_time_until_an_epic_bounds_it(
    max_parallel: int, makespan: float, busy: float
) -> None:
    """No number of sessions makes a plan shorter than its longest epic."""
    played = play(plan_of([1, 2], [1], [2]), max_parallel)
    assert (played.makespan, played.busy) == (makespan, busy)


def test_dependencies_and_merges_by_hand_are_waited_for() -> None:
    """An epic begins when its dependency is merged, even if the operator merges it."""
    plan = plan_of([2], [3], depends_on={1: 0})
    plan.defaults.merge = pb.MERGE_POLICY_MANUAL
    plan.merge_into = "main"
    assert play(plan, 4).makespan == 5 * 60


def test_without_estimates_tasks_are_counted() -> None:
    """If the length of tasks is unknown, each counts as one."""
    plan = plan_of([1, 1, 1])
    for task in plan.epics[0].tasks:
        task.ClearField("estimate")
    assert play(plan, 2).makespan == 3
