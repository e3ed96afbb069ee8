"""Which reviews a plan may have."""

import pytest

from heddle import pb
from heddle.plan import rules
from heddle.plan.file import parse
from heddle.plan.yaml.writing import text_of


def problems(*reviews: pb.PlanReview, of_epic: bool = False, **task: object) -> dict[str, str]:
    """Returns the errors of a plan with one reviewed task, by path."""
    one = pb.PlanTask(key="t", prompt="Do it", agent="claude", **task)  # type: ignore[arg-type]  # fields of a task
    epic = pb.PlanEpic(key="e", tasks=[one])
    (epic if of_epic else epic.tasks[0]).reviews.extend(reviews)
    plan = pb.Plan(name="p", epics=[epic])
    return {found.field: found.description for found in rules.violations(plan)}


def test_good_reviews() -> None:
    """Every other kind of agent can review, on a task and on an epic, with 1 to 10 rounds."""
    good = [
        pb.PlanReview(agent="codex"),
        pb.PlanReview(agent="command:./review.sh", blocking=False),
        pb.PlanReview(agent="claude", rounds=10, model="small"),
        pb.PlanReview(agent="acp:gemini", rounds=1, prompt="Look"),
    ]
    assert problems(*good) == {}
    assert problems(*good, of_epic=True) == {}


@pytest.mark.parametrize(
    ("review", "field", "problem"),
    [
        (pb.PlanReview(), "agent", "is missing; name an agent that can review"),
        (pb.PlanReview(agent="scripted"), "agent", "the agent 'scripted' cannot review"),
        (pb.PlanReview(agent="cluade"), "agent", "is not a known agent, did you mean claude?"),
        (pb.PlanReview(agent="command:"), "agent", "needs a shell command"),
        (pb.PlanReview(agent="codex", rounds=0), "rounds", "is 0; it must be from 1 to 10"),
        (pb.PlanReview(agent="codex", rounds=11), "rounds", "is 11; it must be from 1 to 10"),
        (pb.PlanReview(agent="codex", prompt="x" * 50_001), "prompt", "is 50,001 bytes"),
        (pb.PlanReview(agent="codex", prompt="a\0"), "prompt", "NUL"),
        (pb.PlanReview(agent="codex", model="a\nb"), "model", "must be one line"),
    ],
)
@pytest.mark.parametrize("of_epic", [False, True])
def test_what_is_wrong_with_a_review(review: pb.PlanReview, field: str, problem: str, of_epic: bool) -> None:
    """Each error has its path, also in an epic."""
    place = "epics[0].reviews[0]" if of_epic else "epics[0].tasks[0].reviews[0]"
    found = problems(review, of_epic=of_epic)
    assert list(found) == [f"{place}.{field}"]
    assert problem in found[f"{place}.{field}"]


def test_the_number_of_reviews_is_limited() -> None:
    """A sixth review is one too many."""
    assert problems(*[pb.PlanReview(agent="codex")] * 5) == {}
    found = problems(*[pb.PlanReview(agent="codex")] * 6)
    assert found == {"epics[0].tasks[0].reviews": "has 6 reviews; at most 5 are allowed"}


def test_a_reviewer_under_a_budget_needs_a_limit() -> None:
    """A reviewer that no budget can stop needs the time limit of its task, like the task's own agent."""
    found = problems(pb.PlanReview(agent="command:x"), budget_usd_micros=1_000_000)
    assert "agent 'command:x' does not report its usage" in found["epics[0].tasks[0].timeout"]


def test_reviews_in_a_file() -> None:
    """A file has them as the docs say, and a written plan is read back as the same."""
    text = (
        "name: p\nepics:\n  - key: e\n    reviews: [{agent: codex}]\n    tasks:\n      - key: t\n        prompt: x\n"
        "        reviews:\n          - {agent: claude, prompt: Look, blocking: false, rounds: 3, model: small}\n"
    )
    plan = parse(text, "plan.yaml").plan
    assert plan is not None
    [epic] = plan.epics
    assert [each.agent for each in epic.reviews] == ["codex"]
    [review] = epic.tasks[0].reviews
    assert (review.agent, review.prompt, review.blocking, review.rounds, review.model) == (
        "claude",
        "Look",
        False,
        3,
        "small",
    )
    assert parse(text_of(plan), "again.yaml").plan == plan
    assert "did you mean blocking?" in parse(text.replace("blocking", "bloking"), "plan.yaml").describe()
