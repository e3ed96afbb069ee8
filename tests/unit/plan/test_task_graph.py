"""How a cycle of needs is shown."""

import pytest

from heddle.plan.graphs.task_graph import NEEDS, ORDER, path_of


@pytest.mark.parametrize(("tasks", "end"), [(20, "t0 (needs)"), (21, "t20 (needs) → …")])
def test_a_long_cycle_is_cut(tasks: int, end: str) -> None:
    """Twenty steps are shown; of a longer cycle, the text says that it continues."""
    names = [f"t{number}" for number in range(tasks)]
    waits_for = {name: {names[(place + 1) % tasks]: NEEDS} for place, name in enumerate(names)}
    shown = path_of(names, waits_for)
    assert shown.startswith("t0 → t1 (needs) → ")
    assert shown.endswith(end)
    assert shown.count("→") == 20 + (tasks > 20)


def test_tasks_in_order_are_one_step() -> None:
    """Of the tasks of an epic that follow each other, the first and the last are shown."""
    waits_for = {"a": {"b": ORDER}, "b": {"c": ORDER}, "c": {"a": NEEDS}}
    assert path_of(["a", "b", "c"], waits_for) == "a → c (order) → a (needs)"
