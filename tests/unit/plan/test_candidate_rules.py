"""Which candidates a plan may have, and how one of them may be chosen."""

import pytest

from heddle import pb
from heddle.plan import rules
from heddle.plan.file import parse
from heddle.plan.yaml.writing import text_of


def problems(count: int = 2, **task: object) -> dict[str, str]:
    """Returns the errors of a plan whose task has so many candidates, by the path below the task."""
    one = pb.PlanTask(key="t", prompt="Do it", agent="claude", **task)  # type: ignore[arg-type]  # fields of a task
    one.candidates.extend([pb.PlanCandidate()] * count)
    plan = pb.Plan(name="p", epics=[pb.PlanEpic(key="e", tasks=[one])])
    return {
        found.field.removeprefix("epics[0].tasks[0]."): found.description for found in rules.violations(plan)
    }


def test_good_choices() -> None:
    """Every agent that can review can compare two to nine candidates, also with a score, reviews and a prompt."""
    for agent in ("codex", "claude", "command:./choose.sh", "acp:gemini"):
        assert problems(choose=pb.PlanChoice(agent=agent)) == {}
    full = pb.PlanChoice(agent="codex", model="small", prompt="Prefer the shortest.")
    assert problems(9, choose=full, score="./score", reviews=[pb.PlanReview(agent="codex")]) == {}


@pytest.mark.parametrize(
    ("choice", "field", "problem"),
    [
        (pb.PlanChoice(), "agent", "is missing; name an agent that can compare candidates"),
        (
            pb.PlanChoice(agent="scripted"),
            "agent",
            "the agent 'scripted' cannot compare candidates; name another one",
        ),
        (pb.PlanChoice(agent="cluade"), "agent", "is not a known agent, did you mean claude?"),
        (pb.PlanChoice(agent="command:"), "agent", "needs a shell command"),
        (pb.PlanChoice(agent="codex", prompt="x" * 50_001), "prompt", "is 50,001 bytes"),
        (pb.PlanChoice(agent="codex", prompt="a\0"), "prompt", "NUL"),
        (pb.PlanChoice(agent="codex", model="a\nb"), "model", "must be one line"),
    ],
)
def test_what_is_wrong_with_a_choice(choice: pb.PlanChoice, field: str, problem: str) -> None:
    """Each error names the field and says what to do, for the agent that compares and not for a reviewer."""
    found = problems(choose=choice)
    assert list(found) == [f"choose.{field}"]
    assert problem in found[f"choose.{field}"]


@pytest.mark.parametrize(("name", "way"), [("choose", pb.PlanChoice(agent="codex")), ("score", "./score")])
def test_a_choice_needs_candidates(name: str, way: object) -> None:
    """A task that is tried once has nothing to choose from."""
    assert problems(0, **{name: way}) == {name: "is for choosing among candidates; set candidates too"}


@pytest.mark.parametrize("count", [1, 10])
def test_the_number_of_candidates_is_limited(count: int) -> None:
    """One candidate is none, and ten are too many; the choice among them is not checked less for it."""
    found = problems(count, choose=pb.PlanChoice(agent="scripted"))
    assert list(found) == ["candidates", "choose.agent"]
    assert found["candidates"] == "there must be from 2 to 9; leave candidates out for one attempt at a time"


def test_an_agent_that_compares_under_a_budget_needs_a_limit() -> None:
    """The budget of a task cannot stop an agent that reports its usage only at its end, or never."""
    choice = pb.PlanChoice(agent="command:x")
    found = problems(choose=choice, budget_usd_micros=1_000_000)
    assert "agent 'command:x' does not report its usage" in found["timeout"]
    limited = pb.PlanTask()
    limited.timeout.FromSeconds(60)
    assert problems(choose=choice, budget_usd_micros=1_000_000, timeout=limited.timeout) == {}


def test_a_choice_in_a_file() -> None:
    """A file has it as the docs say, a written plan is read back as the same, and errors name their line."""
    text = (
        "name: p\nepics:\n  - key: e\n    tasks:\n      - key: t\n        prompt: x\n        agent: claude\n"
        "        candidates: 3\n        choose: {agent: codex, prompt: Look, model: small}\n"
    )
    plan = parse(text, "plan.yaml").plan
    assert plan is not None
    [task] = plan.epics[0].tasks
    assert (task.choose.agent, task.choose.prompt, task.choose.model) == ("codex", "Look", "small")
    assert parse(text_of(plan), "again.yaml").plan == plan
    wrong = parse(text.replace("agent: codex, ", ""), "plan.yaml").describe()
    assert "plan.yaml:9" in wrong
    assert "choose" in wrong
    assert "did you mean agent?" in parse(text.replace("{agent", "{agnet"), "plan.yaml").describe()
