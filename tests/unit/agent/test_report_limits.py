"""Each limit of reports and pictures: what is exactly at it is kept whole, and one more is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_svc.agents.scripted.picture import draw
from agent_svc.reports import screenshots
from agent_svc.reports.coverage import read_coverage
from agent_svc.reports.evidence import Evidence
from agent_svc.reports.files import MAX_BYTES, UnreadableError, read
from agent_svc.reports.junit import read_tests, total
from agent_svc.reports.sarif import read_findings
from agent_svc.reports.sarif import total as all_findings
from heddle import pb

PNG = draw("x")


def finding(**fields: Any) -> pb.Finding:
    place = {
        "artifactLocation": {"uri": fields.get("uri", "a")},
        "region": {"startLine": fields.get("line", 1)},
    }
    result = {
        "message": {"text": fields.get("message", "m")},
        "ruleId": fields.get("rule", "r"),
        "locations": [{"physicalLocation": place}],
    }
    return read_findings(json.dumps({"runs": [{"results": [result]}]}).encode(), "/w")[0]


def failing(name: str) -> str:
    report = f'<testsuite><testcase name="{name}"><failure/></testcase></testsuite>'
    return read_tests(report.encode()).failing[0]


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (500, lambda text: finding(message=text).message),
        (300, lambda text: finding(rule=text).rule),
        (300, lambda text: finding(uri=text).file),
        (300, failing),
    ],
    ids=["message", "rule", "file", "test"],
)
def test_texts(limit: int, kept: Callable[[str], str]) -> None:
    """A text of as many bytes as allowed is kept; a longer one is cut, and never within a character."""
    assert kept("x" * limit) == "x" * limit
    assert kept("x" * (limit + 1)) == "x" * limit
    assert kept("x" + "ä" * (limit // 2)) == "x" + "ä" * (limit // 2 - 1)


@pytest.mark.parametrize(("line", "kept"), [(1, 1), (0, 0), (-1, 0), (2**31 - 1, 2**31 - 1), (2**31, 0)])
def test_lines_of_findings(line: int, kept: int) -> None:
    """A line that the message cannot hold is left out."""
    assert finding(line=line).line == kept


@pytest.mark.parametrize(("count", "kept"), [(200, 200), (201, 200)])
def test_names_of_failing_tests(count: int, kept: int) -> None:
    """Of more names than are kept, the first are named, and all are counted."""
    found = total([pb.TestCounts(failed=count, failing=[f"t{number:03}" for number in range(count)])])
    assert found.failed == count
    assert found.failing == [f"t{number:03}" for number in range(kept)]


@pytest.mark.parametrize(("count", "kept"), [(50, 50), (51, 50)])
def test_first_findings(count: int, kept: int) -> None:
    """Of more findings than are kept, the first are shown, and all are counted."""
    found = all_findings([pb.Finding(level=pb.FINDING_LEVEL_ERROR, line=number) for number in range(count)])
    assert found.errors == count
    assert [each.line for each in found.first] == [*range(kept)]


def test_counts_of_lines() -> None:
    """A count of lines is at most 2^31, and covered lines are at most all lines."""
    most = 2**31
    report = f'<coverage lines-covered="{most}" lines-valid="{most}"/>'
    assert read_coverage(report.encode()).lines_valid == most
    for covered, valid in ((most, most + 1), (1, 0)):
        with pytest.raises(UnreadableError, match="impossible"):
            read_coverage(f'<coverage lines-covered="{covered}" lines-valid="{valid}"/>'.encode())


def test_depth_of_xml() -> None:
    """A report nests 100 elements deep; the element below is refused."""
    assert read_tests(b"<testsuite>" * 100 + b"</testsuite>" * 100) == pb.TestCounts()
    with pytest.raises(UnreadableError, match="too deeply"):
        read_tests(b"<testsuite>" * 101 + b"</testsuite>" * 101)


def test_size_of_a_report(tmp_path: Path) -> None:
    """A report of 16 MiB is read; one byte more is refused."""
    assert MAX_BYTES == 16 << 20
    path = tmp_path / "report"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES)
    assert len(read(tmp_path, "report")) == MAX_BYTES
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(UnreadableError, match="is larger than 16 MiB"):
        read(tmp_path, "report")


@pytest.mark.parametrize(("beyond", "read_too"), [(0, True), (1, False)])
def test_size_of_all_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beyond: int, read_too: bool
) -> None:
    """Reports that fit the limit of their kind together are all read; beyond it, the last one is not."""
    report = '<testsuite><testcase name="a"/></testsuite>'
    monkeypatch.setattr("agent_svc.reports.evidence.MAX_TOTAL_BYTES", 2 * len(report))
    evidence = Evidence(pb.Check(), tmp_path)
    (tmp_path / "a.xml").write_text(report)
    (tmp_path / "b.xml").write_text(report + " " * beyond)
    told = pb.CheckFinished()
    evidence.add_to(told)
    assert told.tests.passed == 1 + read_too
    assert len(told.report_problems) == beyond


@pytest.mark.parametrize(("count", "kept"), [(20, 20), (21, 20)])
def test_problems_of_reports(tmp_path: Path, count: int, kept: int) -> None:
    """Of more unreadable reports than are reported, the first are reported, each cut to 500 bytes."""
    evidence = Evidence(pb.Check(junit=["*.bad"]), tmp_path)
    for number in range(count):
        (tmp_path / f"{number:03}.bad").write_text("<")
    told = pb.CheckFinished()
    evidence.add_to(told)
    assert [each.split()[1] for each in told.report_problems] == [f"{n:03}.bad" for n in range(kept)]


@pytest.mark.parametrize(("length", "kept"), [(500, 500), (501, 500)])
def test_length_of_a_problem(tmp_path: Path, length: int, kept: int) -> None:
    """A problem of 500 bytes is reported whole; a longer one is cut."""
    words = len("junit: the check wrote no file ")
    evidence = Evidence(pb.Check(junit=["x" * (length - words)]), tmp_path)
    told = pb.CheckFinished()
    evidence.add_to(told)
    assert [len(each) for each in told.report_problems] == [kept]


def collected(folder: Path, name: str, data: bytes, size: int = 0, caption: str = "") -> pb.Event:
    """Returns the event for one picture, of `size` bytes if it is greater than its content."""
    watch = screenshots.Screenshots(folder, lambda _: "artifact")
    (place := folder / screenshots.FOLDER).mkdir(parents=True)
    with (place / f"{name}.png").open("wb") as file:
        file.write(data[:-12])
        file.write(b"\0" * max(0, size - len(data)))
        file.write(data[-12:])
    if caption:
        (place / f"{name}.txt").write_text(caption)
    (event,) = watch.collect(final=True)
    return event


def test_size_of_a_picture(tmp_path: Path) -> None:
    """A picture of 16 MiB is kept; one byte more is left out."""
    most = 16 << 20
    assert collected(tmp_path / "a", "p", PNG, most).screenshot.size_bytes == most
    assert f"at most {most} are kept" in collected(tmp_path / "b", "p", PNG, most + 1).output.text


@pytest.mark.parametrize(
    ("width", "height", "kept"),
    [(8192, 8192, True), (8193, 8192, False), (1, 64 << 20, True), (1, (64 << 20) + 1, False), (0, 5, False)],
)
def test_pixels_of_a_picture(tmp_path: Path, width: int, height: int, kept: bool) -> None:
    """A picture of 64 Mi pixels is kept; one with more, or without any, is left out."""
    data = PNG[:16] + width.to_bytes(4) + height.to_bytes(4) + PNG[24:]
    assert collected(tmp_path, "p", data).HasField("screenshot") == kept


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1024),
        ("x" + "ä" * 512, "x" + "ä" * 511),
    ],
)
def test_length_of_a_caption(tmp_path: Path, caption: str, kept: str) -> None:
    """A caption of 1 KiB is kept whole; a longer one is cut, and never within a character."""
    assert collected(tmp_path, "p", PNG, caption=caption).screenshot.caption == kept
