"""What the form says about a plan."""

from itertools import pairwise

from ui_svc.views.plan_preview import read_plan

TWO_WAVES = """
name: Shop
epics:
  - key: api
    title: Backend
    touches: ["src/**"]
    tasks: [{key: one, prompt: p, estimate: 60s}, {key: two, title: Second, prompt: p, estimate: 30s}]
  - key: web
    touches: ["src/web/**"]
    tasks: [{key: one, prompt: p, estimate: 40s}]
  - key: ship
    depends_on: [api]
    tasks: [{key: one, prompt: p, estimate: 10s}]
"""


def test_a_good_plan_is_told_ahead() -> None:
    """How much work it is, in which order, how long it takes, and who may get in whose way."""
    plan, found = read_plan(TWO_WAVES, 2)
    assert plan is not None
    assert (found["problems"], found["epics"], found["tasks"]) == ([], 3, 4)
    outlook = found["outlook"]
    assert (outlook["makespan"], outlook["lower_bound"], outlook["total"]) == (100, 100, 140)
    assert outlook["waves"] == [["api", "web"], ["ship"]]
    assert outlook["critical_path"] == ["api", "ship"]
    assert [(each["epic"], each["other"]) for each in outlook["overlaps"]] == [("api", "web")]
    assert outlook["epics"][0]["spans"] == [
        {"title": "one", "from": 0, "to": 60},
        {"title": "Second", "from": 60, "to": 90},
    ]
    assert outlook["epics"][2]["spans"] == [{"title": "one", "from": 90, "to": 100}]


def test_one_agent_at_a_time_takes_as_long_as_all_the_work() -> None:
    """Fewer agents make it longer, and the schedule shows nothing side by side."""
    _, found = read_plan(TWO_WAVES, 1)
    assert found["outlook"]["makespan"] == 140
    spans = sorted((span["from"], span["to"]) for epic in found["outlook"]["epics"] for span in epic["spans"])
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_every_mistake_has_its_line() -> None:
    """No plan is returned, so none can be started, and nothing is foretold."""
    plan, found = read_plan("name: n\nepics:\n  - key: a\n    colour: red\n    tasks: []\n", 1)
    assert plan is None
    assert {(each["line"], each["field"]) for each in found["problems"]} >= {(4, "epics[0].colour")}
    assert "outlook" not in found
