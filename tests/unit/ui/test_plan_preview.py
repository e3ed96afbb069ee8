"""What the form shows about a plan."""

from itertools import pairwise

from heddle import pb
from ui_svc.views.plan_preview import read_plan, tasks_by_agent

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
    """The preview shows the amount of work, the order, the duration, and possible conflicts."""
    plan, found = read_plan(TWO_WAVES, 2)
    assert plan is not None
    assert (found["problems"], found["epics"], found["tasks"]) == ([], 3, 4)
    outlook = found["outlook"]
    assert (outlook["makespan"], outlook["lower_bound"], outlook["total"]) == (100, 100, 140)
    assert outlook["waves"] == [["api", "web"], ["ship"]]
    assert outlook["critical_path"] == ["api", "ship"]
    assert [(each["epic"], each["other"]) for each in outlook["overlaps"]] == [("api", "web")]
    assert outlook["epics"][0]["spans"] == [
        {"title": "one", "from": 0, "to": 60, "needs": []},
        {"title": "Second", "from": 60, "to": 90, "needs": []},
    ]
    assert outlook["undeclared"] == 1
    assert outlook["epics"][2]["spans"] == [{"title": "one", "from": 90, "to": 100, "needs": []}]


def test_one_agent_at_a_time_takes_as_long_as_all_the_work() -> None:
    """With one agent the plan takes longer, and the schedule has no parallel tasks."""
    _, found = read_plan(TWO_WAVES, 1)
    assert found["outlook"]["makespan"] == 140
    spans = sorted((span["from"], span["to"]) for epic in found["outlook"]["epics"] for span in epic["spans"])
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_every_mistake_has_its_line() -> None:
    """With errors, no plan and no preview are returned, so the plan cannot be started."""
    plan, found = read_plan("name: n\nepics:\n  - key: a\n    colour: red\n    tasks: []\n", 1)
    assert plan is None
    assert {(each["line"], each["field"]) for each in found["problems"]} >= {(4, "epics[0].colour")}
    assert "outlook" not in found


def test_the_agents_of_a_run_are_known_before_it_starts() -> None:
    """A chosen agent replaces the plan's default, not that of a task; without either, the scripted one works.

    Each candidate of a task counts, with its own agent or that of the task.
    """
    text = "name: n\ndefaults: {agent: claude}\nepics: [{key: a, tasks: [{key: x, prompt: p}, {key: y, prompt: p, agent: codex}]}]"
    plan, _ = read_plan(text, 1)
    assert plan is not None
    assert tasks_by_agent(plan) == {"claude": 1, "codex": 1}
    assert tasks_by_agent(plan, "goose") == {"codex": 1, "goose": 1}
    plan, _ = read_plan(text.replace("defaults: {agent: claude}\n", ""), 1)
    assert plan is not None
    assert tasks_by_agent(plan) == {"codex": 1, "scripted": 1}
    plan.epics[0].tasks[1].candidates.extend([pb.PlanCandidate(), pb.PlanCandidate(agent="claude")])
    assert tasks_by_agent(plan) == {"claude": 1, "codex": 1, "scripted": 1}
