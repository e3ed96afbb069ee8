"""Limits of what agents and people read about a run, at their value and one beyond."""

import pytest

from heddle import pb
from heddle.drafts.prompt import NO_REVISION
from scheduler_svc.model.lifecycle import reviews
from scheduler_svc.model.plans.draft_words import rejection
from scheduler_svc.model.plans.plan_difference import EpicProgress, Progress
from scheduler_svc.model.prompts import comparison_prompt, review_prompt
from scheduler_svc.model.run_report import report

NAME = "runs/r/epics/e/tasks/t"


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, "; and 1 more"), (5, "; and 2 more")])
def test_number_of_remarks_in_a_reason(count: int, more: str) -> None:
    """The reason of a rejected draft names three errors, and says how many more there are."""
    draft = pb.Draft(problems=[pb.PlanRemark(line=n, message="is missing") for n in range(1, count + 1)])
    named = "; ".join(f"line {n}: is missing" for n in (1, 2, 3))
    assert rejection(draft, again=False) == f"no valid plan: {named}{more}"
    assert rejection(draft, again=True) == f"errors of the plan go back to the agent: {named}{more}"
    warned = pb.Draft(warnings=draft.problems)
    assert rejection(warned, again=True) == f"remarks on the plan go back to the agent: {named}{more}"


@pytest.mark.parametrize(("length", "kept"), [(300, "ä" * 300), (301, "ä" * 299 + "…")])
def test_length_of_an_agents_reason(length: int, kept: str) -> None:
    """Why an agent changes nothing is told in the first line of its answer, with 300 characters at most."""
    draft = pb.Draft(problems=[pb.PlanRemark(message=NO_REVISION)], reasons=f"\n  {'ä' * length}\nmore")
    assert rejection(draft, again=False) == f"the agent proposes no change: {kept}"


@pytest.mark.parametrize(("beyond", "whole"), [(0, True), (1, False)])
def test_size_of_the_findings_for_an_agent(beyond: int, whole: bool) -> None:
    """The findings that an agent must fix have at most 16 KiB, counted in bytes; the first that does not fit ends them."""
    frame = len("\n- \n")
    sizes = (8 << 10, (8 << 10) + beyond)
    texts = [("ä" * ((size - frame) // 2)) + "x" * ((size - frame) % 2) for size in sizes]
    findings = [pb.ReviewFinding(severity=reviews.ERROR, text=text) for text in texts]
    prompt = review_prompt.for_worker("Do it", "codex", pb.Review(findings=findings), files_kept=True)
    assert texts[0] in prompt
    assert prompt.endswith(f"\n- {texts[1]}\n" if whole else "\nMore findings are not listed here.\n")


def test_size_of_the_change_that_an_agent_judges() -> None:
    """A reviewer gets 100,000 bytes of a change; candidates that are compared share them."""
    assert review_prompt.MAX_DIFF_BYTES == 100_000
    comparison = pb.Comparison(candidates=[pb.ComparedCandidate()] * 3)
    assert comparison_prompt.diff_bytes(comparison) == 33_333
    assert comparison_prompt.diff_bytes(pb.Comparison()) == 100_000


def told(*failed: pb.Attempt, task: str = "") -> str:
    """Returns the report of a run with a failed task for each attempt."""
    names = [f"{NAME}{number}" for number in range(len(failed))]
    tasks = [pb.Task(name=name, state=pb.TASK_STATE_FAILED, reason=task) for name in names]
    progress = Progress({"e": EpicProgress()})
    return report([pb.Epic(key="e")], tasks, dict(zip(names, failed, strict=True)), progress)


@pytest.mark.parametrize(("length", "kept"), [(1200, 1200), (1201, 1200)])
def test_length_of_the_reason_of_a_task(length: int, kept: int) -> None:
    """The reasons of a task and of its attempt have at most 1,200 bytes, and no half character."""
    said = told(pb.Attempt(name=f"{NAME}0/attempts/7", reason="y" * length), task="x" * length)
    assert f"has failed: {'x' * kept}. It can change." in said
    assert f"Attempt 7 failed: {'y' * kept}." in said
    assert f"has failed: {'ä' * 600}. It" in told(pb.Attempt(), task="ä" * 601)


def shown(said: str) -> list[int]:
    """Returns the bytes that a report has about each failed attempt."""
    found: list[int] = []
    for line in said.splitlines():
        if line.startswith("    Attempt "):
            found.append(0)
        if line.startswith("    ") and found:
            # Without the indent.
            found[-1] += len(f"{line[4:]}\n".encode())
    return found


@pytest.mark.parametrize(("count", "size"), [(1, 6144), (4, 6144), (6, 4096), (7, 3510)])
def test_size_of_what_is_told_about_failures(count: int, size: int) -> None:
    """A failure has at most 6 KiB, and all of a run together 24 KiB, counted in bytes."""
    for letter, unused in (("x", 0), ("ä", 1)):
        check = pb.CheckFinished(name="n", command="c", exit_code=1, output=letter * 9000)
        attempts = [
            pb.Attempt(name=f"{NAME}{n}/attempts/1", reason="no", checks=[check]) for n in range(count)
        ]
        sizes = shown(told(*attempts))
        assert len(sizes) == count
        assert all(size - unused <= each <= size for each in sizes), sizes
