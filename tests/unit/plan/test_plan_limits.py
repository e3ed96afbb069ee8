"""The limits of a plan, each from both sides, and values that only newer clients know."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.plan import rules

TASK = "epics[0].tasks[0]"


def a_task(key: str = "t", **fields: Any) -> pb.PlanTask:
    return pb.PlanTask(**{"key": key, "prompt": "x", **fields})


def an_epic(key: str = "e", *tasks: pb.PlanTask, **fields: Any) -> pb.PlanEpic:
    return pb.PlanEpic(key=key, tasks=tasks or [a_task()], **fields)


def found(*epics: pb.PlanEpic, **fields: Any) -> dict[str, str]:
    """Returns the errors of a plan by field."""
    plan = pb.Plan(**{"name": "p", "epics": epics or [an_epic()], **fields})
    return {each.field: each.description for each in rules.violations(plan)}


def test_a_plan_has_1000_epics_and_10000_tasks_at_most() -> None:
    """The limits themselves are allowed, and the errors have the numbers."""
    tasks = [a_task(f"t{number}") for number in range(10)]
    whole = [an_epic(f"e{number}", *tasks) for number in range(1000)]
    assert found(*whole) == {}
    whole[0].tasks.append(a_task("more"))
    assert found(*whole) == {"epics": "has 10,001 tasks; at most 10,000 are allowed"}
    many = [an_epic(f"e{number}") for number in range(1001)]
    assert found(*many) == {"epics": "has 1,001 epics; at most 1,000 are allowed"}


def test_dependencies_of_a_huge_plan_are_not_followed() -> None:
    """With more epics than allowed, only that is reported; with as many as allowed, each unknown key is."""
    epics = [an_epic(f"e{number}", depends_on=["x"]) for number in range(1001)]
    assert list(found(*epics)) == ["epics"]
    assert len(found(*epics[:1000])) == 1000


def test_a_prompt_has_200000_bytes_at_most() -> None:
    """Characters of several bytes count as such."""
    assert found(an_epic("e", a_task(prompt="é" * 100_000))) == {}
    assert found(an_epic("e", a_task(prompt="x" * 200_001))) == {
        f"{TASK}.prompt": "is 200,001 bytes; at most 200,000 are allowed"
    }
    assert "NUL" in found(an_epic("e", a_task(prompt="a\0")))[f"{TASK}.prompt"]


def test_a_plan_has_3_million_bytes_at_most() -> None:
    """What counts is the message that the plan becomes."""
    tasks = [a_task(f"t{number}", prompt="x" * 199_000) for number in range(16)]
    plan = pb.Plan(name="p", epics=[an_epic("e", *tasks)])
    last = plan.epics[0].tasks[-1]
    last.prompt = "x" * (len(last.prompt) - (plan.ByteSize() - 2_999_000))
    last.prompt += "x" * (3_000_000 - plan.ByteSize())
    assert plan.ByteSize() == 3_000_000
    assert rules.violations(plan) == []
    last.prompt += "x"
    [violation] = rules.violations(plan)
    assert violation.description == "the plan is 3,000,001 bytes; at most 3,000,000 are allowed"


def test_at_most_a_thousand_errors_are_reported() -> None:
    """A task that is added to a run has the same limit."""
    checks = [pb.Check(name=f"c{number}", run="x", junit=["/x"]) for number in range(1001)]
    assert len(found(an_epic("e", a_task(checks=checks)))) == 1000
    assert len(rules.task_violations(a_task(checks=checks), pb.TaskDefaults())) == 1000
    assert rules.task_violations(a_task(key=""), pb.TaskDefaults()) == []


@pytest.mark.parametrize("kind", ["junit", "coverage", "sarif"])
def test_a_check_has_20_globs_of_a_kind_at_most(kind: str) -> None:
    """Of more, only the first 20 are examined."""
    for count, problems in ((20, {}), (21, {kind: "has 21 globs; at most 20 are allowed"})):
        check = pb.Check(name="c", run="x", **{kind: ["a"] * 20 + ["/a"] * (count - 20)})
        assert found(an_epic("e", a_task(checks=[check]))) == {
            f"{TASK}.checks[0].{name}": text for name, text in problems.items()
        }
    check = pb.Check(name="c", run="x", **{kind: ["a"] * 19 + ["/a"]})
    assert list(found(an_epic("e", a_task(checks=[check])))) == [f"{TASK}.checks[0].{kind}[19]"]


def test_20_globs_of_allowed_files_at_most() -> None:
    """The rule applies to the defaults and to tasks."""
    assert found(defaults=pb.TaskDefaults(allow_files=["a"] * 20)) == {}
    assert found(defaults=pb.TaskDefaults(allow_files=["a"] * 20 + ["/a"])) == {
        "defaults.allow_files": "has 21 globs; at most 20 are allowed"
    }
    assert list(found(an_epic("e", a_task(allow_files=["a", "../a"])))) == [f"{TASK}.allow_files[1]"]


def test_numbers_at_their_limits() -> None:
    """Zero retries, one turn and one micro are valid; less is not."""
    task = a_task(retries=0, max_turns=1, budget_usd_micros=1, agent="claude")
    assert found(an_epic("e", task)) == {}
    task = a_task(retries=-1, max_turns=0, budget_usd_micros=0, agent="claude")
    assert found(an_epic("e", task)) == {
        f"{TASK}.retries": "must not be negative",
        f"{TASK}.max_turns": "must be at least 1",
        f"{TASK}.budget_usd": "must be greater than 0",
    }


def test_values_of_newer_clients_are_refused() -> None:
    """Each error names the known values."""
    unknown: Any = 99
    epic = an_epic("e", a_task(expect=unknown), merge=unknown, on_conflict=unknown, on_failure=unknown)
    defaults = pb.TaskDefaults(merge=unknown, on_conflict=unknown, on_failure=unknown, expect=unknown)
    errors = {
        "on_failure": "99 is unknown; use continue, stop_epic or stop_run",
        "merge": "99 is unknown; use auto, manual or off",
        "on_conflict": "99 is unknown; use wait or agent",
    }
    expect = "99 is unknown; use changes, nothing or any"
    assert found(epic, defaults=defaults, merge_style=unknown) == {
        **{f"epics[0].{field}": text for field, text in errors.items()},
        **{f"defaults.{field}": text for field, text in errors.items()},
        f"{TASK}.expect": expect,
        "defaults.expect": expect,
        "merge_style": "99 is unknown; use merge or squash",
    }


def test_checks_of_merges_are_like_others() -> None:
    """A repeated name refers to the first check of that name; the time limit is greater than zero."""
    checks = [pb.Check(name=name, run="x") for name in ("a", "b", "b", "b")]
    merge_checks = pb.MergeChecks(checks=checks, timeout=Duration(seconds=0))
    assert found(merge_checks=merge_checks) == {
        "merge_checks[2].name": "'b' is also the name of merge_checks[1]",
        "merge_checks[3].name": "'b' is also the name of merge_checks[1]",
        "merge_checks.timeout": "must be greater than zero seconds",
    }
    assert found(merge_checks=pb.MergeChecks(timeout=Duration(seconds=1))) == {}


def test_titles_of_every_level_are_one_line() -> None:
    """So is the name of the branch to merge into."""
    two = "a\nb"
    epic = an_epic("e", a_task(title=two), title=two)
    assert set(found(epic, name=two, merge_into=two)) == {
        "name",
        "merge_into",
        "epics[0].title",
        f"{TASK}.title",
    }


def test_repeated_keys_and_dependencies() -> None:
    """Each repetition refers to the first; an empty key is only missing."""
    epics = [an_epic("a"), an_epic("b", depends_on=["a", "a", "b"]), an_epic("B"), an_epic("b"), an_epic("")]
    assert found(*epics) == {
        "epics[1].depends_on[1]": "'a' is listed twice",
        "epics[1].depends_on[2]": "'b' depends on itself",
        "epics[2].key": "'B' is also the key of epics[1]; keys are case-insensitive",
        "epics[3].key": "'b' is also the key of epics[1]; keys are case-insensitive",
        "epics[4].key": "is missing",
    }


def test_no_epic_is_suggested_to_itself() -> None:
    """The nearest other key is."""
    assert found(an_epic("alpha"), an_epic("alphas", depends_on=["alphass"])) == {
        "epics[1].depends_on[0]": "there is no epic 'alphass', did you mean alpha?"
    }
