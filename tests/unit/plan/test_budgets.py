"""Budgets of a plan, its epics and its tasks."""

import pytest

from heddle import pb
from heddle.plan import rules
from heddle.plan.file import parse
from heddle.plan.validation import budget_rules


def plan_file(budget: str) -> str:
    return f"name: x\nepics:\n  - key: a\n    tasks:\n      - key: t\n        prompt: x\n        {budget}\n"


def test_budgets_of_each_level_are_read_as_micros() -> None:
    """US dollars of a file become micros in the message; a level without a budget has none."""
    text = (
        "name: x\nbudget_usd: 0.05\nepics:\n  - key: a\n    budget_usd: 2\n    tasks: [{key: t, prompt: x}]\n"
    )

    plan = parse(text, "plan.yaml").plan

    assert plan.budget_usd_micros == 50_000
    assert plan.epics[0].budget_usd_micros == 2_000_000
    assert not plan.epics[0].tasks[0].HasField("budget_usd_micros")


@pytest.mark.parametrize("budget", ["0", "-1", "0.0000001"])
def test_a_budget_of_nothing_is_a_mistake(budget: str) -> None:
    """A budget too small for a single turn is an error, because it would only pause the run."""
    mistakes = parse(plan_file(f"budget_usd: {budget}"), "plan.yaml").describe()

    assert "budget_usd" in mistakes
    assert "must be greater than 0" in mistakes


def test_a_message_is_held_to_the_same_rule() -> None:
    """A plan that a client sends is validated like a file."""
    task = pb.PlanTask(key="t", prompt="x", budget_usd_micros=0)
    plan = pb.Plan(name="x", budget_usd_micros=-5, epics=[pb.PlanEpic(key="a", tasks=[task])])

    fields = [violation.field for violation in rules.violations(plan)]

    assert fields == ["budget_usd", "epics[0].tasks[0].budget_usd"]


@pytest.mark.parametrize("level", ["plan", "epic", "task"])
def test_a_command_below_a_budget_needs_a_time_limit(level: str) -> None:
    """A command reports no usage, so a budget alone cannot stop it; the error names the alternatives."""
    task = pb.PlanTask(key="t", prompt="x", agent="command:make")
    epic = pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="s", prompt="x", agent="claude"), task])
    plan = pb.Plan(name="x", epics=[epic])
    assert rules.violations(plan) == []
    levels: dict[str, pb.Plan | pb.PlanEpic | pb.PlanTask] = {
        "plan": plan,
        "epic": plan.epics[0],
        "task": plan.epics[0].tasks[1],
    }
    levels[level].budget_usd_micros = 5

    [mistake] = rules.violations(plan)
    assert mistake.field == "epics[0].tasks[1].timeout"
    assert "'command:make' does not report" in mistake.description
    assert "budget_usd" in mistake.description
    assert "`timeout`" in mistake.description

    plan.epics[0].tasks[1].timeout.FromSeconds(60)
    assert rules.violations(plan) == []
    plan.epics[0].tasks[1].ClearField("timeout")
    plan.defaults.timeout.FromSeconds(60)
    assert rules.violations(plan) == []


def test_a_file_tells_the_line_of_such_a_command() -> None:
    """The error points to the task, even if its agent is the plan's default."""
    text = (
        "name: x\nbudget_usd: 1\ndefaults: {agent: 'command:make'}\nepics:\n  - key: a\n    tasks:\n"
        "      - key: t\n        prompt: x\n"
    )
    mistakes = parse(text, "plan.yaml").describe()
    assert "plan.yaml:7" in mistakes
    assert "budget_usd of the plan cannot stop" in mistakes


def test_the_limits_that_help_are_named() -> None:
    """`max_turns` is named only for an agent that keeps to it, and only agents with live usage as an alternative."""
    plain = budget_rules.needs_limit("t", "command:make", "its budget_usd").description
    assert "Give the task a `timeout`, or" in plain
    turns = budget_rules.needs_limit("t", "acp:x", "its budget_usd", holds_max_turns=True).description
    assert "Give the task a `timeout` or `max_turns`, or" in turns
    # `scripted` reports live too, but it is no agent of a provider.
    assert budget_rules.stoppable_agents() in plain
    assert "claude" in budget_rules.stoppable_agents()
    assert "command" not in budget_rules.stoppable_agents()
    assert "scripted" not in budget_rules.stoppable_agents()
