"""Whether a worker can start a requested agent. Pure."""

import re
from collections.abc import Container, Sequence
from typing import Final

from heddle import pb
from heddle.errors import HeddleError, Violation
from heddle.plan import rules
from heddle.plan.validation import budget_rules

# Agents that a row names as they are; of others, such as command:, what follows the colon is no name.
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]+")


def agents_of(task: pb.PlanTask) -> str:
    """Returns all agents of a task, also those that review, one a line, as `is_offered` compares them with a worker's."""
    reviewers = (agent for _, agent in reviewers_of(task))
    names = dict.fromkeys([task.agent, *_of_candidates(task), *reviewers])
    return "\n".join(name if _NAME.fullmatch(name) else _kind(name) for name in names)


def is_offered(agent: str, by_worker: Container[str]) -> bool:
    """Returns whether a worker with these programs can start an agent."""
    return agent in by_worker or _kind(agent) in by_worker


def _kind(agent: str) -> str:
    # "acp:" and "command:" stand for what their agents are called after the colon.
    return "".join(agent.partition(":")[:2])


def check_form(agent: str, programs: Sequence[pb.AgentProgram]) -> None:
    """Raises UNKNOWN_AGENT if no worker could ever start an agent of this name."""
    if problem := rules.agent_problem(agent):
        raise _unknown(agent, problem, programs)


def check_available(agent: str, needed_by: str, programs: Sequence[pb.AgentProgram]) -> None:
    """Raises UNKNOWN_AGENT if a worker with these programs cannot start `agent`."""
    program = _program(agent, programs)
    if not program.available:
        why = f" ({program.detail})" if program.detail else ""
        problem = f"the worker cannot start agent {program.name!r}{why}, which {needed_by} needs"
        raise _unknown(agent, problem, programs)


def check_all_available(task: pb.PlanTask, needed_by: str, programs: Sequence[pb.AgentProgram]) -> None:
    """Raises UNKNOWN_AGENT if a worker with these programs cannot start the agent, a candidate or a reviewer of `task`."""
    check_available(task.agent, needed_by, programs)
    for agent in _of_candidates(task):
        check_available(agent, f"a candidate of {needed_by}", programs)
    for what, agent in reviewers_of(task):
        check_available(agent, f"{what} {needed_by}", programs)


def without_limit(
    path: str, task: pb.PlanTask, budget: str, programs: Sequence[pb.AgentProgram]
) -> list[Violation]:
    """Returns the violation of a task at `path` that neither a budget nor another limit could stop.

    `task` has the plan's defaults; `budget` says which one applies. Empty: none does.
    """
    if not budget or task.HasField("timeout"):
        return []
    for agent in dict.fromkeys([task.agent, *_of_candidates(task)]):
        program = _program(agent, programs)
        limited = program.holds_max_turns and task.HasField("max_turns")
        if program.usage_reports == pb.USAGE_REPORTS_LATE and not limited:
            return [budget_rules.needs_limit(path, agent, budget, holds_max_turns=program.holds_max_turns)]
    for _, agent in reviewers_of(task):
        if _program(agent, programs).usage_reports == pb.USAGE_REPORTS_LATE:
            return [budget_rules.needs_limit(path, agent, budget)]
    return []


def reviewers_of(task: pb.PlanTask) -> list[tuple[str, str]]:
    """Returns what agents judge about the task's work, as "a review of", each with its agent."""
    found = [("a review of", review.agent) for review in task.reviews]
    return [*found, ("the choice of a candidate of", task.choose.agent)] if task.HasField("choose") else found


def _of_candidates(task: pb.PlanTask) -> list[str]:
    """Returns the agents that candidates have instead of the task's."""
    return [each.agent for each in task.candidates if each.agent]


def _program(agent: str, programs: Sequence[pb.AgentProgram]) -> pb.AgentProgram:
    by_name = {program.name: program for program in programs}
    kind = _kind(agent)
    return by_name.get(agent) or by_name.get(kind) or pb.AgentProgram(name=kind)


def _unknown(agent: str, problem: str, programs: Sequence[pb.AgentProgram]) -> HeddleError:
    known = ", ".join(program.name for program in programs if program.available) or "none"
    return HeddleError(pb.ERROR_REASON_UNKNOWN_AGENT, f"{problem}; it can start: {known}", agent=agent)
