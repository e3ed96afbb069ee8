"""The prompts for the agent of a draft, and the request that they come from."""

import pytest

from heddle import pb
from heddle.drafts import request as requests
from heddle.drafts.prompt import draft_prompt, remark_line, round_prompt
from heddle.errors import HeddleError
from heddle.plan import rules
from heddle.plan.format_text import format_text
from heddle.plan.models.plan_model import Check, Defaults, Epic, Permissions, PlanFile, Task

REQUEST = pb.DraftPlanRequest(goal="Add a search", project="/p", agent="claude")


def test_the_format_is_described_from_the_models() -> None:
    """Each key of each part has a line with its type; required keys say so; left-out keys have none."""
    text = format_text({"script"})
    for part in (PlanFile, Defaults, Epic, Task, Check, Permissions):
        for key in part.model_fields.keys() - {"script"}:
            assert f"- {key} (" in text
    assert "script (" not in text
    assert "Step:" not in text, "parts of left-out keys are left out"
    assert "\n\nReview: A review" in text
    assert "- key (text, required). Unique within the epic" in text
    assert "- estimate (duration, such as 90s, 20m or 1h30m). The expected duration." in text
    assert "- merge (auto | manual | off)" in text
    assert "- checks (list of Check, or text)" in text
    assert "- junit (text or list of text)" in text
    assert "- permissions (Permissions)" in text


def test_the_prompt_has_all_that_the_agent_needs() -> None:
    """Goal, sources by their names, agents, the keys of a plan, and how to hand it over."""
    prompt = draft_prompt(
        "Add a search",
        [pb.DraftSource(name="spec.md", text="# Search\nFast.")],
        ["claude", "codex"],
        "claude",
    )
    assert "# The goal\n\nAdd a search\n" in prompt
    assert '<source name="spec.md">\n# Search\nFast.\n</source>' in prompt
    assert "Set `defaults.agent` to `claude`. Other agents that can work: codex." in prompt
    for word in ("`touches`", "`depends_on`", "`needs`", "`estimate`", "`checks`", "```yaml"):
        assert word in prompt
    assert "mcp_servers" not in prompt
    assert "\n  agent: claude\n" in prompt
    alone = draft_prompt("x", [], ["claude"], "claude")
    assert "Other agents that can work" not in alone
    assert "<source" not in alone


def test_a_round_says_what_is_wrong() -> None:
    """Problems come without warnings; an agent that does not remember its answer gets it again."""
    problem = pb.PlanRemark(line=3, field="epics[0].key", message="is missing")
    warning = pb.PlanRemark(message="no check")
    both = pb.Draft(text="epics:", problems=[problem], warnings=[warning])
    prompt = round_prompt("The task.\n", both, remembers=False)
    assert prompt.startswith("The task.\n\n---\n\n[Heddle] Your last answer cannot be used:\n\n")
    assert "- line 3: epics[0].key: is missing" in prompt
    assert "no check" not in prompt
    assert "````\nepics:\n````" in prompt
    assert "epics:" not in round_prompt("The task.", both, remembers=True)
    assert "Your last plan is valid." in round_prompt("x", pb.Draft(warnings=[warning]), remembers=True)
    many = pb.Draft(problems=[pb.PlanRemark(message=f"number {number}") for number in range(42)])
    text = round_prompt("x", many, remembers=True)
    assert "number 39" in text
    assert "number 40" not in text
    assert "- and 2 more" in text
    forty = pb.Draft(problems=[pb.PlanRemark(message="m")] * 40)
    assert "more" not in round_prompt("x", forty, remembers=True)
    assert text.endswith("\n\nAnswer again as described above, with the whole plan.\n")
    for size, shown in ((200_000, "x" * 200_000 + "\n````"), (200_001, "x" * 200_000 + "…\n````")):
        assert shown in round_prompt("p", pb.Draft(text="x" * size, problems=[problem]), remembers=False)
    assert remark_line(pb.PlanRemark(message="x" * 600)) == "x" * 600
    long = pb.PlanRemark(message="x" * 601)
    assert remark_line(long) == "x" * 600 + "…"


def test_a_draft_is_a_plan_of_one_task_that_only_reads() -> None:
    """It is valid, is never merged, may not edit, and has as many retries as rounds."""
    plan = requests.drafting_plan(REQUEST, ["claude"])
    assert rules.violations(plan) == []
    (epic,) = plan.epics
    (task,) = epic.tasks
    assert plan.name == "Draft: Add a search"
    assert epic.merge == pb.MERGE_POLICY_OFF
    assert (task.agent, task.retries, list(task.permissions.deny)) == ("claude", 3, ["Edit"])
    assert {"Bash(git log:*)", "Bash(cat:*)"} <= set(task.permissions.allow)
    assert (task.timeout.seconds, task.permissions.wait.seconds) == (45 * 60, 10 * 60)
    assert not plan.HasField("budget_usd_micros")
    more = pb.DraftPlanRequest(agent="command:x", goal="g", rounds=0, budget_usd_micros=5, model="m")
    plan = requests.drafting_plan(more, [])
    assert rules.violations(plan) == []
    assert (plan.budget_usd_micros, plan.epics[0].tasks[0].retries) == (5, 0)
    assert "to `scripted`" in plan.epics[0].tasks[0].prompt


@pytest.mark.parametrize(
    ("agent", "ready", "proposed"),
    [("claude", [], "claude"), ("command:x", ["codex", "claude"], "codex"), ("command:x", [], "")],
)
def test_the_agent_that_drafts_is_proposed(agent: str, ready: list[str], proposed: str) -> None:
    """A command that drafts need not be able to do the work."""
    assert requests.proposed_agent(agent, ready) == proposed


@pytest.mark.parametrize(
    ("goal", "text", "title"),
    [
        ("  Add\ta  search \nand more", "", "Add a search"),
        ("", "\n# Search #1\nx", "Search #1"),
        ("x" * 61, "", "x" * 59 + "…"),
        ("x" * 58 + " yyy", "", "x" * 58 + "…"),
        ("x" * 60, "", "x" * 60),
        ("a\x07b", "", "ab"),
    ],
)
def test_a_draft_has_a_short_title(goal: str, text: str, title: str) -> None:
    """The first words of the goal, or of the first source."""
    request = pb.DraftPlanRequest(goal=goal, sources=[pb.DraftSource(name="a", text=text)])
    assert requests.title_of(request) == title


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (pb.DraftPlanRequest(goal="x" * 32_000), ""),
        (pb.DraftPlanRequest(goal="x" * 32_001), "goal: is 32,001 bytes"),
        (pb.DraftPlanRequest(goal="ä" * 16_001), "goal: is 32,002 bytes"),
        (pb.DraftPlanRequest(goal="a\0"), "goal: must not contain a NUL"),
        (pb.DraftPlanRequest(rounds=20), ""),
        (pb.DraftPlanRequest(rounds=21), "rounds: must be from 0 to 20"),
        (pb.DraftPlanRequest(rounds=-1), "rounds: must be from 0 to 20"),
        (pb.DraftPlanRequest(agent=" "), "agent: is missing"),
        (pb.DraftPlanRequest(agent="cluade"), "agent: 'cluade' is not a known agent, did you mean claude?"),
        (pb.DraftPlanRequest(agent="command:"), "agent: needs a shell command"),
        (pb.DraftPlanRequest(agent="scripted"), "agent: 'scripted' only repeats its prompt"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="x" * 128_000)]), ""),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="x" * 128_001)]), "a has 128,001"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="ä" * 64_001)]), "a has 128,002"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="x" * 64_001)] * 2), "are 128,002 bytes together"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="x"), pb.DraftSource(name="b", text="x" * 128_000)]), "b has 128,000"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a" * 200, text="x")]), ""),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a" * 201, text="x")]), "sources[0].name"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a\nb", text="x")]), "sources[0].name"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="ä" * 32_000)] * 2), ""),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="ä" * 32_001)] * 2), "are 128,004 bytes together"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="n" * 200, text="x")]), ""),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="n" * 201, text="x")]), "sources[0].name: must be one line"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="x")] * 50), ""),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="x")] * 51), "sources: are 51"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(text="x")]), "sources[0].name: must be one line"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name='a"', text="x")]), "sources[0].name: must be one line"),
        (pb.DraftPlanRequest(sources=[pb.DraftSource(name="a", text="\0")]), "sources[0].text: a is not text"),
    ],
)  # fmt: skip
def test_requests_have_limits(change: pb.DraftPlanRequest, says: str) -> None:
    """Each limit holds at its value, and is named one beyond."""
    request = pb.DraftPlanRequest()
    request.CopyFrom(REQUEST)
    request.MergeFrom(change)
    if not says:
        requests.check(request)
        return
    with pytest.raises(HeddleError) as caught:
        requests.check(request)
    assert says in caught.value.message


def test_a_draft_needs_a_goal_or_a_source() -> None:
    """Blank texts are none."""
    blank = pb.DraftPlanRequest(agent="claude", goal=" ", sources=[pb.DraftSource(name="a", text="\n")])
    with pytest.raises(HeddleError, match="say what to achieve"):
        requests.check(blank)
    blank.sources.add(name="b", text="x")
    requests.check(blank)
