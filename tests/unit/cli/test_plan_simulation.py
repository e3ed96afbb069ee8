"""What a simulation assumes about tasks without an estimate."""

from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.cli.plans import plan_simulation
from heddle.client.agent_averages import Learned

LEARNED = {"claude": Learned(90.25, 1_000.4), "codex": Learned(60.0, None)}


def a_plan(*tasks: pb.PlanTask) -> pb.Plan:
    return pb.Plan(defaults=pb.TaskDefaults(agent="claude"), epics=[pb.PlanEpic(key="e", tasks=tasks)])


def test_the_average_of_its_agent_is_the_estimate_of_a_task() -> None:
    """Seconds become a duration; own estimates stay, and a task of an agent without earlier tasks gets none."""
    own = pb.PlanTask(key="own", estimate=Duration(seconds=7))
    plan = a_plan(pb.PlanTask(key="t"), own, pb.PlanTask(key="x", agent="command:x"))
    first, second, third = plan_simulation.estimated(plan, LEARNED).epics[0].tasks
    assert (first.estimate, second.estimate) == (Duration(seconds=90, nanos=250_000_000), Duration(seconds=7))
    assert not third.HasField("estimate")
    assert not plan.epics[0].tasks[0].HasField("estimate")
    assert plan_simulation.knows_lengths(plan, LEARNED)
    assert not plan_simulation.knows_lengths(a_plan(pb.PlanTask(key="t")), {})


def test_costs_are_added_before_they_are_rounded() -> None:
    """The sum is in micros; it is unknown if one agent's cost is."""
    task = pb.PlanTask(key="t")
    assert plan_simulation.cost(a_plan(task, task), LEARNED) == 2_001
    assert plan_simulation.cost(a_plan(task, pb.PlanTask(key="c", agent="codex")), LEARNED) is None
    assert plan_simulation.cost(a_plan(pb.PlanTask(key="x", agent="command:x")), LEARNED) is None
