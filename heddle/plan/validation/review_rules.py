"""Validates the reviews of tasks: who reviews, how often, and what the reviewer is told. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from heddle import pb
from heddle.errors import Violation
from heddle.plan.values import text_rules
from heddle.plan.values.text_rules import at_most, shown

MAX_REVIEWS: Final = 5
MAX_ROUNDS: Final = 10
MAX_PROMPT_BYTES: Final = 50_000

# Of a review that does not set it.
DEFAULT_ROUNDS: Final = 2

# It repeats its prompt, so it cannot judge anything.
_NO_REVIEWER: Final = "scripted"


def violations(
    path: str, reviews: Sequence[pb.PlanReview], agent_problem: Callable[[str], str | None]
) -> Iterator[Violation]:
    """Yields every error in the reviews at `path`; `agent_problem` returns why an agent's name is malformed."""
    if len(reviews) > MAX_REVIEWS:
        yield Violation(path, f"has {len(reviews):,} reviews; {at_most(MAX_REVIEWS)}")
    for index, review in enumerate(reviews[:MAX_REVIEWS]):
        yield from _review(f"{path}[{index}]", review, agent_problem)


def _review(
    path: str, review: pb.PlanReview, agent_problem: Callable[[str], str | None]
) -> Iterator[Violation]:
    yield from reviewer(path, review, agent_problem, "review")
    if review.HasField("rounds") and not 1 <= review.rounds <= MAX_ROUNDS:
        yield Violation(f"{path}.rounds", f"is {review.rounds:,}; it must be from 1 to {MAX_ROUNDS}")


def reviewer(
    path: str,
    review: pb.PlanReview | pb.PlanChoice,
    agent_problem: Callable[[str], str | None],
    work: Literal["review", "compare candidates"],
) -> Iterator[Violation]:
    """Yields every error in the agent, the prompt and the model of a review, or of a choice among candidates.

    `work` is what the agent is asked to do.
    """
    if not review.agent:
        yield Violation(f"{path}.agent", f"is missing; name an agent that can {work}")
    elif review.agent == _NO_REVIEWER:
        yield Violation(f"{path}.agent", f"the agent {shown(review.agent)} cannot {work}; name another one")
    elif problem := agent_problem(review.agent):
        yield Violation(f"{path}.agent", problem)
    size = len(review.prompt.encode())
    if size > MAX_PROMPT_BYTES:
        yield Violation(f"{path}.prompt", f"is {size:,} bytes; {at_most(MAX_PROMPT_BYTES)}")
    yield from text_rules.no_nul(f"{path}.prompt", review.prompt)
    yield from text_rules.title(f"{path}.model", review.model)
