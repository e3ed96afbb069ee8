import os
from pathlib import Path

import pytest

from agent_svc.junit import count_tests

REPORT = (
    '<testsuite><testcase name="a"/><testcase name="b"><failure/></testcase>'
    '<testcase name="c"><skipped/></testcase><testcase name="d"><error/><system-out/></testcase></testsuite>'
)


def counts(folder: Path, since_ns: int = 0) -> tuple[int, int, int] | None:
    found = count_tests(folder, since_ns)
    return (found.passed, found.failed, found.skipped) if found else None


def test_counts_every_case(tmp_path: Path) -> None:
    """Cases are counted over all files and however suites are nested."""
    (tmp_path / "one.xml").write_text(REPORT)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/two.xml").write_text(f"<testsuites><testsuite>{REPORT}</testsuite></testsuites>")
    assert counts(tmp_path) == (2, 4, 2)


def test_older_files_do_not_count(tmp_path: Path) -> None:
    """Only files that were written since then count."""
    path = tmp_path / "one.xml"
    path.write_text(REPORT)
    os.utime(path, ns=(10**18, 10**18))
    assert counts(tmp_path, 10**18 + 10**9) is None
    assert counts(tmp_path, 10**18) == (1, 2, 1)


@pytest.mark.parametrize("folder", [".git", "node_modules", ".venv"])
def test_some_folders_are_not_searched(tmp_path: Path, folder: str) -> None:
    """Folders of tools hold no reports of the task."""
    (tmp_path / "a" / folder).mkdir(parents=True)
    (tmp_path / "a" / folder / "one.xml").write_text(REPORT)
    assert counts(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<testsuite>",
        b"<project/>",
        b"\xff\xfe\0",
        b'<?xml version="1.0" encoding="nonsense"?><testsuite/>',
        b'<!DOCTYPE t [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>',
    ],
)
def test_other_files_do_not_count(tmp_path: Path, content: bytes) -> None:
    """What is no JUnit report, or could be an attack, is left out without a fuss."""
    (tmp_path / "one.xml").write_bytes(content)
    assert counts(tmp_path) is None


def test_huge_files_do_not_count(tmp_path: Path) -> None:
    """A file of more than 16 MiB is not read."""
    with (tmp_path / "one.xml").open("wb") as file:
        file.write(REPORT.encode())
        file.truncate((16 << 20) + 1)
    assert counts(tmp_path) is None


def test_links_do_not_count(tmp_path: Path) -> None:
    """A link is not followed: it could lead out of the worktree."""
    (tmp_path / "real.txt").write_text(REPORT)
    (tmp_path / "one.xml").symlink_to(tmp_path / "real.txt")
    assert counts(tmp_path) is None
