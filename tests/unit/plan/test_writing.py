"""Plans are written as YAML that reads back as the same plan."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle import pb, samples
from heddle.plan import file, rules
from heddle.plan.yaml import writing

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
AWKWARD = st.sampled_from(
    [
        "010",
        "1e5",
        "off",
        "yes",
        "~",
        "1:30",
        "fix #12 now",
        "a: b",
        "- x",
        " lead",
        "end ",
        "{a}",
        "'",
        "x\n",
        "0\x85",
        "a\n\u2028b",
        "a\r\nb",
    ]
)
PROMPTS = (TEXTS | AWKWARD).filter(lambda text: text.strip() != "")
COMMANDS = st.sampled_from(["make test", "pytest -q  # all", "a: b", "true"])
SECONDS = st.integers(1, 10**6) | st.sampled_from([0.25, 1.5, 86_400])


def a_check(run: str, reports: list[str]) -> pb.Check:
    return pb.Check(name=run, run=run, junit=reports)


@st.composite
def tasks(draw: st.DrawFn, key: str) -> pb.PlanTask:
    task = pb.PlanTask(key=key, prompt=draw(PROMPTS))
    task.checks.extend(
        a_check(run, draw(st.sampled_from([[], ["out/*.xml"]])))
        for run in draw(st.lists(COMMANDS, unique=True, max_size=2))
    )
    if draw(st.booleans()):
        task.timeout.FromNanoseconds(round(draw(SECONDS) * 1e9))
    if draw(st.booleans()):
        task.budget_usd_micros = draw(st.integers(1, 10**12))
    if draw(st.booleans()):
        task.permissions.default = draw(st.sampled_from(pb.PermissionDecision.values()[1:]))
        task.permissions.allow.append("Bash(make *)")
    task.expect = draw(st.sampled_from(pb.Expect.values()))
    return task


@st.composite
def plans(draw: st.DrawFn) -> pb.Plan:
    plan = pb.Plan(name=draw(st.sampled_from(["Shop", "12", "on"])))
    plan.merge_style = draw(st.sampled_from(pb.MergeStyle.values()))
    if draw(st.booleans()):
        plan.merge_checks.SetInParent()
    for number in range(draw(st.integers(1, 3))):
        epic = plan.epics.add(key=f"e{number}", merge=draw(st.sampled_from(pb.MergePolicy.values()[:3])))
        epic.tasks.extend(draw(tasks(f"t{place}")) for place in range(draw(st.integers(1, 2))))
        if number and draw(st.booleans()):
            epic.depends_on.append("e0")
    return plan


@settings(max_examples=150, deadline=None)
@given(plans())
def test_a_written_plan_reads_back(plan: pb.Plan) -> None:
    """Any valid plan survives writing and reading, whatever its texts look like to YAML."""
    assert not rules.violations(plan)
    text = writing.text_of(plan)
    loaded = file.parse(text, "plan")
    assert not loaded.problems, text
    assert loaded.plan == plan


def test_the_sample_plan_reads_back() -> None:
    """Every kind of script step has its form in a file."""
    loaded = file.load(samples.PLAN)
    assert file.parse(writing.text_of(loaded.plan), "plan").plan == loaded.plan


@pytest.mark.parametrize(
    ("value", "text"),
    [("two\nlines", "two\nlines"), (3, "3"), (["a", "b"], "a, b"), ([{"a": 1}], "- a: 1"), (True, "true")],
)
def test_values_are_readable(value: Any, text: str) -> None:
    """A value is shown as text, or else as YAML without the marks of a document."""
    assert writing.readable(value) == text
