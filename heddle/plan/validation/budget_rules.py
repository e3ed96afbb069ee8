"""Tasks that no budget can stop, because their agents do not report usage while they run. Pure."""

from typing import Final

from heddle import agents, pb
from heddle.errors import Violation
from heddle.plan.values.text_rules import one_of, shown

PROJECT_BUDGET: Final = "HEDDLE_PROJECT_BUDGET_USD"


def budget_of(plan: pb.Plan, epic: pb.PlanEpic, task: pb.PlanTask) -> str:
    """Returns where the nearest budget above a task is set; empty if no budget applies."""
    if task.HasField("budget_usd_micros"):
        return "its budget_usd"
    if epic.HasField("budget_usd_micros"):
        return f"budget_usd of epic {epic.key}"
    return "budget_usd of the plan" if plan.HasField("budget_usd_micros") else ""


def needs_limit(path: str, agent: str, budget: str, *, holds_max_turns: bool = False) -> Violation:
    """Returns the violation for the task at `path`, which needs its own limit; it names possible limits."""
    limit = "`timeout` or `max_turns`" if holds_max_turns else "`timeout`"
    return Violation(
        f"{path}.timeout",
        f"is required: agent {shown(agent)} does not report its usage while it runs, so {budget} cannot stop"
        f" it. Give the task a {limit}, or use an agent that a budget can stop, such as {stoppable_agents()}",
    )


def stoppable_agents() -> str:
    """Returns the agents that a budget can stop, because they report their usage while they run."""
    return one_of([kind.name for kind in agents.kinds() if kind.reports_usage_live and kind.provider])
