import pytest

from agent_svc.reports.files import UnreadableError
from agent_svc.reports.junit import MAX_FAILING, MAX_NAME_BYTES, read_tests, total
from heddle import pb

REPORT = (
    '<testsuite><testcase name="a"/><testcase classname="s" name="b"><failure/></testcase>'
    '<testcase name="c"><skipped/></testcase><testcase name="d"><error/><system-out/></testcase></testsuite>'
)


def test_counts_every_case() -> None:
    """Cases are counted at every level of nested suites, and the failed ones are named."""
    nested = f"<testsuites><testsuite>{REPORT}</testsuite>{REPORT}</testsuites>"
    assert read_tests(REPORT.encode()) == pb.TestCounts(passed=1, failed=2, skipped=1, failing=["s::b", "d"])
    assert read_tests(nested.encode()).failed == 4


def test_a_foreign_document_type_is_not_fetched() -> None:
    """An external document type that a report names is never fetched."""
    assert read_tests(f'<!DOCTYPE testsuite SYSTEM "http://127.0.0.1:1/x.dtd">{REPORT}'.encode()).passed == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not valid XML"),
        (b"<testsuite>", "not valid XML"),
        (b"<project/>", "root is project"),
        (b"\xff\xfe\0", "not valid XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><testsuite/>', "not valid XML"),
        (b'<!DOCTYPE t [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>', "entities"),
        ('<!DOCTYPE t [<!ENTITY a "b">]><testsuite/>'.encode("utf-16"), "entities"),
        (b"<testsuite>" * 200 + b"</testsuite>" * 200, "too deeply"),
    ],
)
def test_other_files_are_refused(content: bytes, why: str) -> None:
    """A file that is not a JUnit report, or that could be an attack, is refused with a reason."""
    with pytest.raises(UnreadableError, match=why):
        read_tests(content)


def test_names_are_bounded() -> None:
    """Only the first names of failed tests are kept, truncated and without duplicates; the count is exact."""
    cases = "".join(f'<testcase name="{n:04}{"x" * 400}"><failure/></testcase>' for n in range(300))
    report = read_tests(f"<testsuite>{cases}</testsuite>".encode())
    summed = total([report, report])
    assert summed.failed == 600
    assert len(summed.failing) == MAX_FAILING
    assert summed.failing[-1].startswith("0199x")
    assert max(map(len, summed.failing)) == MAX_NAME_BYTES


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("<a/>" * 1_000_001, "elements"),
        ("<a " + " ".join(f'a{number}=""' for number in range(300_000)) + "/>", "tag or comment"),
        (f"<!--{'x' * (3 << 20)}-->", "tag or comment"),
    ],
)
def test_a_report_that_would_use_much_memory_is_refused(inside: str, why: str) -> None:
    """Very many elements, and very long tags and comments, are refused."""
    with pytest.raises(UnreadableError, match=why):
        read_tests(f"<testsuite>{inside}</testsuite>".encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "inside",
    [
        "<system-out>" + "x" * (4 << 20) + "</system-out>",
        "<system-out><![CDATA[" + "x" * (4 << 20) + "]]></system-out>",
        f'<failure message="{"x" * (1 << 19)}"/>',
    ],
)
def test_long_output_is_read(inside: str, encoding: str) -> None:
    """A test with megabytes of output, or with a long message, is counted."""
    report = f"<testsuite><testcase>{inside}</testcase></testsuite>"
    counts = read_tests(report.encode(encoding))
    assert counts.passed + counts.failed == 1
