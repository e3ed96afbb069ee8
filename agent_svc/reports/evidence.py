"""Collects the content of the reports that one check writes. Blocks on disk access."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from agent_svc.reports import coverage, junit, sarif
from agent_svc.reports.files import UnreadableError, changed, listing, read
from agent_svc.text import clip
from heddle import globs, pb

Report = TypeVar("Report")

# A check that names no JUnit files may write them anywhere.
ANY_XML: Final = re.compile(r".*\.xml", re.DOTALL)

MAX_PROBLEMS: Final = 20
MAX_PROBLEM_BYTES: Final = 500

# Limit for all reports of one kind together.
MAX_TOTAL_BYTES: Final = 64 << 20


class Kind(NamedTuple):
    """One kind of report, and the paths that the check names for it."""

    name: str
    named: tuple[str, ...]
    wanted: re.Pattern[str] | None

    def finds(self, path: str) -> bool:
        return self.wanted is not None and self.wanted.fullmatch(path) is not None


class Evidence:
    """Finds the reports that a check writes. Must be created before the check runs, to compare the files."""

    def __init__(self, check: pb.Check, worktree: Path) -> None:
        self._worktree = worktree
        self._tests = _kind("junit", check.junit)
        self._coverage = _kind("coverage", check.coverage)
        self._sarif = _kind("sarif", check.sarif)
        if not check.junit:
            self._tests = self._tests._replace(wanted=ANY_XML)
        kinds = (self._tests, self._coverage, self._sarif)
        self._wanted = re.compile(
            "|".join(f"(?:{kind.wanted.pattern})" for kind in kinds if kind.wanted), re.DOTALL
        )
        self._before = listing(worktree, self._wanted)
        self._problems: list[str] = []

    def add_to(self, report: pb.CheckFinished) -> None:
        """Adds the content of the check's reports to `report`. Call it after the check has ended."""
        written = changed(self._before, listing(self._worktree, self._wanted))
        if tests := self._read(self._tests, written, junit.read_tests):
            report.tests.CopyFrom(junit.total(tests))
        if covered := self._read(self._coverage, written, coverage.read_coverage):
            report.coverage.CopyFrom(coverage.total(covered))
        worktree = str(self._worktree)
        if found := self._read(self._sarif, written, lambda data: sarif.read_findings(data, worktree)):
            report.findings.CopyFrom(sarif.total([finding for findings in found for finding in findings]))
        report.report_problems.extend(self._problems[:MAX_PROBLEMS])

    def _read(self, kind: Kind, written: Iterable[str], parse: Callable[[bytes], Report]) -> list[Report]:
        paths = [path for path in written if kind.finds(path)]
        if kind.named and not paths:
            self._problem(f"{kind.name}: the check wrote no file {' or '.join(kind.named)}")
        reports = []
        left = MAX_TOTAL_BYTES
        for path in paths:
            try:
                data = read(self._worktree, path)
                left -= len(data)
                if left < 0:
                    self._problem(
                        f"{kind.name}: only the first {MAX_TOTAL_BYTES >> 20} MiB of reports are read"
                    )
                    break
                reports.append(parse(data))
            except UnreadableError as error:
                # Most files that the plan does not name are not reports, so their errors are ignored.
                if kind.named:
                    self._problem(f"{kind.name}: {path} {error}")
        return reports

    def _problem(self, text: str) -> None:
        # A file name may contain bytes that are not valid text.
        self._problems.append(clip(text.encode(errors="replace").decode(), MAX_PROBLEM_BYTES))


def _kind(name: str, named: Iterable[str]) -> Kind:
    globs_named = tuple(named)
    patterns = [globs.pattern(glob).pattern for glob in globs_named]
    wanted = re.compile("|".join(f"(?:{each})" for each in patterns), re.DOTALL) if patterns else None
    return Kind(name, globs_named, wanted)
