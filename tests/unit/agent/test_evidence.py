"""The files that a check wrote are distinguished from those that existed before."""

import os
from pathlib import Path
from typing import Any

import pytest

from agent_svc.reports import evidence as evidence_module
from agent_svc.reports.evidence import Evidence
from agent_svc.reports.files import MAX_BYTES, listing
from heddle import pb

REPORT = '<testsuite><testcase name="a"/></testsuite>'
OTHER = '<testsuite><testcase name="a"><error/></testcase></testsuite>'
COVERAGE = '<coverage lines-covered="1" lines-valid="2"/>'
SARIF = '{"runs": [{"results": [{"level": "error"}]}]}'


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def reported(evidence: Evidence) -> pb.CheckFinished:
    report = pb.CheckFinished()
    evidence.add_to(report)
    return report


def test_only_what_the_check_wrote_counts(tmp_path: Path) -> None:
    """A report that existed before the check does not count, however recent it is."""
    write(tmp_path / "one.xml", REPORT)
    assert not reported(Evidence(pb.Check(), tmp_path)).HasField("tests")


def test_new_and_changed_files_count(tmp_path: Path) -> None:
    """A report counts if it is new, has grown, or was touched while the check ran."""
    write(tmp_path / "old.xml", REPORT)
    write(tmp_path / "longer.xml", REPORT)
    write(tmp_path / "touched.xml", REPORT)
    evidence = Evidence(pb.Check(), tmp_path)
    write(tmp_path / "deep/new.xml", REPORT)
    before = (tmp_path / "longer.xml").stat()
    write(tmp_path / "longer.xml", OTHER)
    os.utime(tmp_path / "longer.xml", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(tmp_path / "touched.xml", ns=(0, 0))
    tests = reported(evidence).tests
    assert (tests.passed, tests.failed) == (2, 1)


def test_a_file_in_the_place_of_another_counts(tmp_path: Path) -> None:
    """A report that replaced another one with the same size and time is new."""
    write(tmp_path / "one.xml", REPORT)
    times = (tmp_path / "one.xml").stat()
    evidence = Evidence(pb.Check(), tmp_path)
    write(tmp_path / "draft", REPORT)
    os.utime(tmp_path / "draft", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "draft").replace(tmp_path / "one.xml")
    assert reported(evidence).tests.passed == 1


@pytest.mark.parametrize("folder", [".git", "node_modules", ".venv"])
def test_some_folders_are_not_searched(tmp_path: Path, folder: str) -> None:
    """Folders of tools are not searched for reports."""
    evidence = Evidence(pb.Check(), tmp_path)
    write(tmp_path / "a" / folder / "one.xml", REPORT)
    assert not reported(evidence).HasField("tests")


def test_links_do_not_count(tmp_path: Path) -> None:
    """Links to files and folders are not followed, because they could lead out of the worktree."""
    write(tmp_path / "outside/one.xml", REPORT)
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    evidence = Evidence(pb.Check(junit=["one.xml", "folder"]), worktree)
    (worktree / "one.xml").symlink_to(tmp_path / "outside/one.xml")
    (worktree / "folder").symlink_to(tmp_path / "outside")
    assert not reported(evidence).HasField("tests")


def test_named_reports_are_the_only_ones(tmp_path: Path) -> None:
    """Globs select the reports, whatever their suffix; a folder includes its content."""
    evidence = Evidence(
        pb.Check(junit=["reports", "*.junit"], coverage=["**/cov*.xml"], sarif=["lint.json"]), tmp_path
    )
    write(tmp_path / "reports/deep/one.txt", REPORT)
    write(tmp_path / "two.junit", REPORT)
    write(tmp_path / "other.xml", REPORT)
    write(tmp_path / "a/cov1.xml", COVERAGE)
    write(tmp_path / "cov2.xml", COVERAGE)
    write(tmp_path / "lint.json", SARIF)
    report = reported(evidence)
    assert report.tests.passed == 2
    assert report.coverage == pb.Coverage(lines_covered=2, lines_valid=4)
    assert report.findings.errors == 1
    assert list(report.report_problems) == []


def test_problems_of_named_reports_are_told(tmp_path: Path) -> None:
    """A named report that is missing or malformed is listed with the reason."""
    evidence = Evidence(pb.Check(junit=["a.xml"], coverage=["c.xml"], sarif=["s.json", "t.json"]), tmp_path)
    write(tmp_path / "a.xml", COVERAGE)
    with (tmp_path / "c.xml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    report = reported(evidence)
    assert list(report.report_problems) == [
        "junit: a.xml is not a JUnit report: its root is coverage",
        "coverage: c.xml is larger than 16 MiB",
        "sarif: the check wrote no file s.json or t.json",
    ]
    assert not report.HasField("tests")
    assert not report.HasField("coverage")
    assert not report.HasField("findings")


def test_a_name_that_is_no_text_can_be_told(tmp_path: Path) -> None:
    """A problem can be reported even if the file's name is not valid text."""
    evidence = Evidence(pb.Check(junit=["*.xml"]), tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.xml")).write_text("no")
    assert "?.xml is not valid XML" in reported(evidence).report_problems[0]


def test_files_that_no_glob_names_are_ignored(tmp_path: Path) -> None:
    """XML files that are not reports are ignored silently if no glob names them."""
    evidence = Evidence(pb.Check(), tmp_path)
    write(tmp_path / "pom.xml", "<project/>")
    write(tmp_path / "broken.xml", "<")
    assert reported(evidence) == pb.CheckFinished()


def test_all_reports_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there are too many reports, the first are read, and the evidence says that there are more."""
    monkeypatch.setattr(evidence_module, "MAX_TOTAL_BYTES", 2 * len(REPORT))
    evidence = Evidence(pb.Check(junit=["*.xml"]), tmp_path)
    for name in "abc":
        write(tmp_path / f"{name}.xml", REPORT)
    report = reported(evidence)
    assert report.tests.passed == 2
    assert "only the first" in report.report_problems[0]


def test_a_report_is_not_read_through_a_link_in_place_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that replaces a report's folder after the files were listed makes the report unreadable."""
    worktree, outside = tmp_path / "worktree", tmp_path / "outside"
    write(outside / "junit.xml", REPORT)
    worktree.mkdir()
    evidence = Evidence(pb.Check(junit=["reports/*.xml"]), worktree)
    write(worktree / "reports" / "junit.xml", REPORT)

    def swap_after_listing(*arguments: Any) -> Any:
        found = listing(*arguments)
        (worktree / "reports").rename(worktree / "moved")
        (worktree / "reports").symlink_to(outside)
        return found

    monkeypatch.setattr(evidence_module, "listing", swap_after_listing)
    report = reported(evidence)
    assert not report.HasField("tests")
    assert "reports/junit.xml cannot be read" in report.report_problems[0]


def test_a_removed_worktree_has_no_reports(tmp_path: Path) -> None:
    """A check that removed its worktree reports nothing, without an error."""
    evidence = Evidence(pb.Check(), tmp_path / "missing")
    assert not reported(evidence).HasField("tests")
