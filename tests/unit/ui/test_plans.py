"""What the form says about a plan."""

from ui_svc.plans import read_plan


def test_a_good_plan_is_counted() -> None:
    """The form tells how much work it is."""
    plan, found = read_plan("name: n\nepics: [{key: a, tasks: [{key: t, prompt: p}]}]")
    assert plan is not None
    assert found == {"problems": [], "epics": 1, "tasks": 1}


def test_every_mistake_has_its_line() -> None:
    """No plan is returned, so none can be started."""
    plan, found = read_plan("name: n\nepics:\n  - key: a\n    colour: red\n    tasks: []\n")
    assert plan is None
    assert {(each["line"], each["field"]) for each in found["problems"]} >= {(4, "epics[0].colour")}
