"""Validates the candidates of tasks: how many, with which agents, and how one of them is chosen. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

from heddle import pb
from heddle.errors import Violation
from heddle.plan.validation import review_rules
from heddle.plan.values import text_rules
from heddle.plan.values.text_rules import shown

# The number of a candidate is one digit in its name.
MOST: Final = 9

# The name of the check in which a candidate gets its score.
SCORE: Final = "score"


def violations(
    path: str, task: pb.PlanTask, agent: str, agent_problem: Callable[[str], str | None]
) -> Iterator[Violation]:
    """Yields every error in the candidates of the task at `path`, whose own agent is `agent`.

    `agent_problem` returns why an agent's name is malformed.
    """
    if task.score:
        yield from text_rules.command(f"{path}.score", task.score)
    if task.score and not task.candidates:
        yield Violation(f"{path}.score", "is for choosing among candidates; set candidates too")
    if task.HasField("choose") and not task.candidates:
        yield Violation(f"{path}.choose", "is for choosing among candidates; set candidates too")
    if not task.candidates:
        return
    if not 2 <= len(task.candidates) <= MOST:
        problem = f"there must be from 2 to {MOST}; leave candidates out for one attempt at a time"
        yield Violation(f"{path}.candidates", problem)
    if task.HasField("choose"):
        yield from review_rules.reviewer(f"{path}.choose", task.choose, agent_problem, "compare candidates")
    if task.score and any(check.name == SCORE for check in task.checks):
        yield Violation(
            f"{path}.score", f"a check of the task is named {shown(SCORE)} too; rename that check"
        )
    for index, candidate in enumerate(task.candidates[:MOST]):
        yield from _candidate(f"{path}.candidates[{index}]", task, candidate, agent, agent_problem)


def _candidate(
    path: str,
    task: pb.PlanTask,
    candidate: pb.PlanCandidate,
    agent: str,
    agent_problem: Callable[[str], str | None],
) -> Iterator[Violation]:
    if candidate.agent and (problem := agent_problem(candidate.agent)):
        yield Violation(f"{path}.agent", problem)
    elif candidate.agent and task.script and candidate.agent != agent:
        yield Violation(f"{path}.agent", f"the script of the task can only be played by {shown(agent)}")
    yield from text_rules.title(f"{path}.model", candidate.model)
