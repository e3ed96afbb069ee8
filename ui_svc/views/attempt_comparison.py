"""Compares an attempt's check reports with those of the epic's previously accepted task. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from heddle import pb
from heddle.names import AttemptName
from ui_svc.views import View

# A check keeps at most this many names of failing tests; if it has exactly this many, there may be more.
MOST_NAMES: Final = 200


def accepted_before(tasks: Sequence[pb.Task], name: AttemptName) -> pb.Task | None:
    """Returns the last accepted task before the attempt's task in `tasks`; None if there is none."""
    position = next((task.position for task in tasks if task.name == str(name.parent)), 0)
    earlier = [task for task in tasks if task.position < position and task.state == pb.TASK_STATE_ACCEPTED]
    return max(earlier, key=lambda task: task.position, default=None)


def compared(before: pb.Task, checks: Iterable[pb.CheckFinished]) -> View:
    """Returns the name of the earlier task, and the difference from it by the names of `checks`."""
    former = {check.name: check for check in before.latest_attempt.checks}
    changes = {check.name: change(former[check.name], check) for check in checks if check.name in former}
    return {"attempt": before.latest_attempt.name, "title": before.title or before.key, "checks": changes}


def change(before: pb.CheckFinished, after: pb.CheckFinished) -> View:
    """Returns the difference between two runs of a check, with None for unknown values.

    `began` and `ceased` list the tests that began and ceased to fail. A test in `ceased`
    passes, is skipped, or no longer exists.
    """
    both_tests = before.HasField("tests") and after.HasField("tests")
    both_covered = bool(before.coverage.lines_valid and after.coverage.lines_valid)
    both_found = before.HasField("findings") and after.HasField("findings")
    return {
        "began": _new(before.tests, after.tests) if both_tests else None,
        "ceased": _new(after.tests, before.tests) if both_tests else None,
        "passed": after.tests.passed - before.tests.passed if both_tests else None,
        "coverage": round(_percent(after) - _percent(before), 2) if both_covered else None,
        "findings": _found(after) - _found(before) if both_found else None,
    }


def _new(old: pb.TestCounts, new: pb.TestCounts) -> list[str] | None:
    """Returns the tests that fail only in `new`; None if the list of names in `old` may be incomplete."""
    if len(old.failing) >= MOST_NAMES:
        return None
    return sorted(set(new.failing).difference(old.failing))


def _percent(check: pb.CheckFinished) -> float:
    return 100 * check.coverage.lines_covered / check.coverage.lines_valid


def _found(check: pb.CheckFinished) -> int:
    return check.findings.errors + check.findings.warnings + check.findings.notes
