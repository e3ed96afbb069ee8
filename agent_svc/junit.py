"""Counts tests in the JUnit XML files that a check wrote."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from heddle import pb

MAX_BYTES: Final = 16 << 20

# Folders that hold no reports and very many files.
SKIPPED: Final = frozenset({".git", "node_modules", ".venv"})

ROOTS: Final = frozenset({"testsuite", "testsuites"})

# File systems round times; a file this much older still counts as written now.
ROUNDING_NS: Final = 20_000_000


def count_tests(folder: Path, since_ns: int) -> pb.TestCounts | None:
    """Returns the sum over the JUnit files below `folder` that changed since then; None: there are none."""
    reports = [report for path in _changed(folder, since_ns - ROUNDING_NS) if (report := _parse(path))]
    if not reports:
        return None
    return pb.TestCounts(
        passed=sum(report.passed for report in reports),
        failed=sum(report.failed for report in reports),
        skipped=sum(report.skipped for report in reports),
    )


def _changed(folder: Path, since_ns: int) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in files:
            path = Path(parent, name)
            if path.suffix == ".xml":
                try:
                    status = path.lstat()
                except OSError:
                    continue
                if status.st_mtime_ns >= since_ns and status.st_size <= MAX_BYTES and not path.is_symlink():
                    yield path


def _parse(path: Path) -> pb.TestCounts | None:
    try:
        data = path.read_bytes()
        # A report has no entities; they are how a small file becomes a huge one.
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            return None
        root = ET.fromstring(data)  # noqa: S314 (size is bounded, entities are refused above)
    except (OSError, ET.ParseError, ValueError, LookupError):
        return None
    return _count(root) if root.tag in ROOTS else None


def _count(root: ET.Element) -> pb.TestCounts:
    counts = pb.TestCounts()
    for case in root.iter("testcase"):
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            counts.failed += 1
        elif "skipped" in outcomes:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts
