import pytest

from agent_svc.reports.coverage import read_coverage, total
from agent_svc.reports.files import UnreadableError
from heddle import pb

CLASS = (
    '<class filename="a.py"><methods><method><lines><line number="1" hits="2"/></lines></method></methods>'
    '<lines><line number="1" hits="2"/><line number="2" hits="0"/></lines></class>'
    '<class filename="b.py"><lines><line number="1" hits="1"/></lines></class>'
)


def test_totals_are_taken() -> None:
    """If a report contains totals of lines, they are used."""
    report = b'<coverage lines-covered="80" lines-valid="100" line-rate="0.8"/>'
    assert read_coverage(report) == pb.Coverage(lines_covered=80, lines_valid=100)


def test_without_totals_lines_are_counted() -> None:
    """Each line of a file counts once, even if it is listed in both its method and its class."""
    report = f"<coverage><packages><package><classes>{CLASS}</classes></package></packages></coverage>"
    assert read_coverage(report.encode()) == pb.Coverage(lines_covered=2, lines_valid=3)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<report/>", "root is report"),
        (b'<coverage lines-covered="3" lines-valid="2"/>', "impossible"),
        (
            b'<coverage lines-covered="99999999999999999999" lines-valid="99999999999999999999"/>',
            "impossible",
        ),
        (b'<coverage lines-covered="-1" lines-valid="2"/>', "impossible"),
    ],
)
def test_other_files_are_refused(content: bytes, why: str) -> None:
    """A file that is not a coverage report, or an impossible one, is refused with a reason."""
    with pytest.raises(UnreadableError, match=why):
        read_coverage(content)


def test_reports_are_summed() -> None:
    """Several reports are added up, because each covers a different part of the code."""
    one = pb.Coverage(lines_covered=1, lines_valid=2)
    assert total([one, one]) == pb.Coverage(lines_covered=2, lines_valid=4)
