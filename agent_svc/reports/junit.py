"""Counts the tests in JUnit XML. Pure."""

from collections.abc import Sequence
from typing import Final

from agent_svc.reports.files import UnreadableError
from agent_svc.reports.xml import walk
from agent_svc.text import clip
from heddle import pb

ROOTS: Final = frozenset({"testsuite", "testsuites"})

FAILURES: Final = frozenset({"failure", "error"})

# Maximum number of names of failing tests that are kept.
MAX_FAILING: Final = 200

MAX_NAME_BYTES: Final = 300


def read_tests(data: bytes) -> pb.TestCounts:
    """Returns the counts of one report and the names of all failing tests. Raises UnreadableError."""
    counts = pb.TestCounts()
    name = ""
    outcomes: set[str] = set()

    def begin(path: Sequence[str], attributes: dict[str, str]) -> None:
        nonlocal name
        if path[0] not in ROOTS:
            raise UnreadableError(f"is not a JUnit report: its root is {clip(path[0], 40)}")
        if path[-1] == "testcase":
            name = _name(attributes)
            outcomes.clear()
        elif len(path) > 1 and path[-2] == "testcase":
            outcomes.add(path[-1])

    def end(path: Sequence[str]) -> None:
        if path[-1] != "testcase":
            return
        if outcomes & FAILURES:
            counts.failed += 1
            counts.failing.append(name)
        elif "skipped" in outcomes:
            counts.skipped += 1
        else:
            counts.passed += 1

    walk(data, begin, end)
    return counts


def total(reports: list[pb.TestCounts]) -> pb.TestCounts:
    """Returns the sum, with the first names of failing tests in alphabetical order."""
    return pb.TestCounts(
        passed=sum(report.passed for report in reports),
        failed=sum(report.failed for report in reports),
        skipped=sum(report.skipped for report in reports),
        failing=sorted({name for report in reports for name in report.failing})[:MAX_FAILING],
    )


def _name(attributes: dict[str, str]) -> str:
    parts = (attributes.get("classname", ""), attributes.get("name", ""))
    return clip("::".join(part for part in parts if part), MAX_NAME_BYTES)
