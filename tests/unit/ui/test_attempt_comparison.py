"""What an attempt changed, according to the reports of its checks."""

from typing import Any

from heddle import pb
from heddle.names import AttemptName
from ui_svc.views.attempt_comparison import MOST_NAMES, accepted_before, change, compared

NAME = AttemptName("r", "e", "c", 2)


def a_task(key: str, position: int, state: "pb.TaskState.ValueType", **attempt: Any) -> pb.Task:
    name = f"runs/r/epics/e/tasks/{key}"
    latest = pb.Attempt(name=f"{name}/attempts/1", **attempt)
    return pb.Task(name=name, key=key, position=position, state=state, latest_attempt=latest)


def report(*failing: str, passed: int = 0) -> pb.CheckFinished:
    tests = pb.TestCounts(passed=passed, failed=len(failing), failing=failing)
    return pb.CheckFinished(name="tests", tests=tests)


def test_tests_begin_and_cease_to_fail() -> None:
    """A failed test is new or fixed compared with the earlier names; an unchanged one is neither."""
    found = change(report("a", "b", passed=5), report("b", "c", passed=7))
    assert (found["began"], found["ceased"], found["passed"]) == (["c"], ["a"], 2)


def test_what_cannot_be_told_is_not_told() -> None:
    """If a report is missing or its names were truncated, no change is claimed."""
    assert change(pb.CheckFinished(), report("a"))["began"] is None
    assert change(report("a"), pb.CheckFinished())["ceased"] is None
    cut = report(*map(str, range(MOST_NAMES)))
    assert (change(cut, report("x"))["began"], change(report("x"), cut)["ceased"]) == (None, None)
    assert change(cut, report())["ceased"] == sorted(map(str, range(MOST_NAMES)))


def test_coverage_and_findings_are_compared() -> None:
    """Coverage changes in percentage points, findings by their number."""

    def check(covered: int, valid: int, findings: pb.Findings | None = None) -> pb.CheckFinished:
        coverage = pb.Coverage(lines_covered=covered, lines_valid=valid)
        return pb.CheckFinished(coverage=coverage, findings=findings)

    found = change(check(1, 3, pb.Findings(errors=1, notes=2)), check(1, 2, pb.Findings(warnings=1)))
    assert (found["coverage"], found["findings"]) == (16.67, -2)
    assert change(check(0, 0), check(1, 2))["coverage"] is None
    assert change(pb.CheckFinished(), check(1, 2))["findings"] is None
    assert change(check(1, 2, pb.Findings(errors=1)), check(1, 2))["findings"] is None
    assert change(check(1, 2), check(1, 2, pb.Findings(errors=1)))["findings"] is None
    assert change(check(3, 8), check(7, 8))["coverage"] == 50


def test_the_task_before_is_the_last_accepted_one() -> None:
    """Failed tasks and later tasks are skipped."""
    accepted, failed = pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_FAILED
    tasks = [
        a_task("d", 4, accepted),
        a_task("a", 1, accepted),
        a_task("b", 2, failed),
        a_task("c", 3, failed),
    ]
    before = accepted_before(tasks, NAME)
    assert before is not None
    assert before.key == "a"
    assert accepted_before(tasks[:1] + tasks[2:], NAME) is None
    assert accepted_before([], NAME) is None
    # The nearest one counts, not the attempt's own task and not those of another epic's list.
    tasks = [a_task("b", 2, accepted), a_task("a", 1, accepted), a_task("c", 3, accepted)]
    found = accepted_before(tasks, NAME)
    assert found is not None
    assert found.key == "b"
    assert accepted_before([a_task("x", 0, accepted)], NAME) is None


def test_checks_are_compared_by_name() -> None:
    """A check that did not run before has no comparison."""
    before = a_task("a", 1, pb.TASK_STATE_ACCEPTED, checks=[report("x")])
    found = compared(before, [report("y"), pb.CheckFinished(name="lint")])
    assert (found["title"], found["attempt"]) == ("a", "runs/r/epics/e/tasks/a/attempts/1")
    assert found["checks"].keys() == {"tests"}
    assert found["checks"]["tests"]["began"] == ["y"]
