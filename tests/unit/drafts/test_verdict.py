"""What is wrong with a drafted plan, and what could be better."""

import pytest

from heddle import pb
from heddle.drafts.handover import Handover, in_text
from heddle.drafts.prompt import EXAMPLE
from heddle.drafts.verdict import Circumstances, judge

GOOD = """\
name: x
defaults: {agent: codex, checks: [make]}
epics:
  - key: a
    touches: [a]
    tasks: [{key: t, prompt: p, estimate: 1m}]
  - key: b
    touches: [b]
    tasks: [{key: t, prompt: p, estimate: 1m}]
"""


def circumstances(*, project_checks: bool = False, slots: int = 8) -> Circumstances:
    def problem(agent: str) -> str:
        return "" if agent == "codex" else f"the worker cannot start {agent}"

    return Circumstances(problem, "codex", slots, project_checks)


def judged(text: str, **how: bool) -> pb.Draft:
    return judge(in_text(text), circumstances(**how))


def test_a_good_plan_has_no_remarks() -> None:
    """Its text is kept as it is, with its plan and the reasons; the example of the prompt is such a plan."""
    draft = judged(f"Why.\n```yaml\n# Comment\n{GOOD}```")
    assert (draft.text, draft.reasons, draft.plan.name) == (f"# Comment\n{GOOD}", "Why.", "x")
    assert not draft.problems
    assert not draft.warnings
    example = judged(EXAMPLE.format(agent="codex"))
    assert example.HasField("plan")
    assert not example.warnings


@pytest.mark.parametrize(
    ("was", "becomes", "line", "field", "says"),
    [
        ("touches: [b]", "touches: [a]", 8, "epics[1].touches", "epics a (a) and b (a) may write"),
        ("    touches: [b]\n", "", 7, "epics[1]", "has no `touches`"),
        (", checks: [make]", "", 6, "epics[0].tasks[0]", "task a/t has no check"),
        (", estimate: 1m}]\n  - key: b", "}]\n  - key: b", 3, "epics", "1 of 2 tasks have no `estimate`"),
        ("checks: [make]", "checks: [make], permissions: {default: allow}", 2, "defaults.permissions", "any command"),
        ("touches: [b]", "permissions: {allow: [Bash]}\n    touches: [b]", 8, "epics[1].permissions", "any command"),
    ],
)  # fmt: skip
def test_what_could_be_better_is_a_warning(was: str, becomes: str, line: int, field: str, says: str) -> None:
    """Each remark names its place; the plan is valid all the same."""
    assert was in GOOD
    draft = judged(GOOD.replace(was, becomes))
    assert draft.HasField("plan")
    remark = draft.warnings[0]
    assert (remark.line, remark.field) == (line, field)
    assert says in remark.message


def test_checks_of_the_project_count() -> None:
    """Tasks without checks get those of the project file."""
    assert not judged(GOOD.replace(", checks: [make]", ""), project_checks=True).warnings


@pytest.mark.parametrize(("slots", "tasks", "warns"), [(8, 4, True), (1, 4, False), (8, 3, False)])
def test_a_chain_leaves_agents_idle(slots: int, tasks: int, warns: bool) -> None:
    """Only if other agents could work, and only from a few tasks on."""
    listed = ", ".join(f"{{key: t{number}, prompt: p, estimate: 1m}}" for number in range(tasks))
    text = f"name: x\ndefaults: {{agent: codex, checks: [make]}}\nepics:\n  - {{key: a, tasks: [{listed}]}}\n"
    draft = judge(in_text(text), circumstances(slots=slots))
    assert [each.message for each in draft.warnings if "one chain (a)" in each.message] == [
        each.message for each in draft.warnings
    ]
    assert bool(draft.warnings) is warns


@pytest.mark.parametrize(
    ("was", "becomes", "line", "field", "says"),
    [
        ("prompt: p, estimate: 1m}]\n  - key: b", "prompt: 3}]\n  - key: b", 6, "epics[0].tasks[0].prompt", "text"),
        ("{agent: codex, ", "{", 2, "defaults.agent", "is missing; use codex"),
        ("agent: codex", "agent: claude", 2, "defaults.agent", "cannot start claude"),
        ("{key: t, prompt: p, estimate: 1m}]\n  - key: b", "{key: t, agent: claude, prompt: p}]\n  - key: b", 6,
         "epics[0].tasks[0].agent", "cannot start claude"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_problem(was: str, becomes: str, line: int, field: str, says: str) -> None:
    """A draft with problems has no plan."""
    assert was in GOOD
    draft = judged(GOOD.replace(was, becomes))
    assert not draft.HasField("plan")
    (problem,) = draft.problems
    assert (problem.line, problem.field) == (line, field)
    assert says in problem.message


@pytest.mark.parametrize(
    ("handover", "text", "says"),
    [
        (Handover(reasons="No."), "No.", "the answer has no plan"),
        (Handover(), "", "the answer has no plan"),
        (Handover(("a", "b"), "Or:"), "b", "2 different plans"),
        (Handover((GOOD,), cut_off=True), GOOD, "not closed"),
        (Handover(reasons="x" * 30_000), "…" + "x" * 20_000, "the answer has no plan"),
    ],
)
def test_an_answer_without_one_plan_is_a_problem(handover: Handover, text: str, says: str) -> None:
    """Its text is the last plan, or the end of what was said."""
    draft = judge(handover, circumstances())
    assert draft.text == text
    assert says in draft.problems[0].message
    assert not draft.HasField("plan")
