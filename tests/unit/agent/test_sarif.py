import json
from typing import Any

import pytest

from agent_svc.reports.files import UnreadableError
from agent_svc.reports.sarif import MAX_FINDINGS, MAX_VALUES, read_findings, total
from heddle import pb


def findings(*results: object, rules: object = ()) -> list[pb.Finding]:
    run = {"tool": {"driver": {"rules": rules}}, "results": results}
    return read_findings(json.dumps({"runs": [run]}).encode(), "/w")


def result(uri: str = "a.py", line: object = 3, **more: object) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    return {"message": {"text": "Bad"}, "locations": [{"physicalLocation": place}], **more}


def test_a_finding_has_its_place() -> None:
    """A finding has a level, rule, message, file and line."""
    assert findings(result(ruleId="E1", level="error")) == [
        pb.Finding(level=pb.FINDING_LEVEL_ERROR, rule="E1", message="Bad", file="a.py", line=3)
    ]


@pytest.mark.parametrize("uri", ["src/a b.py", "./src/a%20b.py", "file:///w/src/a%20b.py", "/w/src/a b.py"])
def test_files_are_relative_to_the_worktree(uri: str) -> None:
    """Every form of path that analysers write becomes a path relative to the worktree."""
    assert findings(result(uri))[0].file == "src/a b.py"


def test_the_rule_says_the_level() -> None:
    """A result without a level has the level of its rule, found by name or index, or else is a warning."""
    rules = [{"id": "N", "defaultConfiguration": {"level": "note"}}]
    levels = [each.level for each in findings(result(ruleId="N"), result(ruleIndex=0), result(), rules=rules)]
    assert levels == [pb.FINDING_LEVEL_NOTE, pb.FINDING_LEVEL_NOTE, pb.FINDING_LEVEL_WARNING]


@pytest.mark.parametrize(
    "more",
    [
        {"suppressions": [{"kind": "inSource"}]},
        {"baselineState": "absent"},
        {"kind": "pass"},
        {"level": "none"},
    ],
)
def test_what_is_settled_does_not_count(more: dict[str, Any]) -> None:
    """Results that are suppressed, absent or not failures are left out."""
    assert findings(result(**more)) == []


@pytest.mark.parametrize(
    "odd",
    [
        "text",
        {"message": 3, "locations": {"x": 1}, "ruleId": [], "level": {}},
        {"locations": [[]], "ruleIndex": 10**9},
        result("http://[x", line=2**40),
        result("\ud800", line="3"),
    ],
)
def test_odd_values_are_passed_over(odd: object) -> None:
    """A value with the wrong form is ignored; the rest of the report is read."""
    assert [each.line for each in findings(odd, result())] == [0, 3]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "not a SARIF"),
        (b"{}", "not a SARIF"),
    ],
)
def test_other_files_are_refused(content: bytes, why: str) -> None:
    """A file that is not SARIF is refused with a reason."""
    with pytest.raises(UnreadableError, match=why):
        read_findings(content, "/w")


def test_the_gravest_come_first() -> None:
    """All findings are counted, but only the most severe ones are kept."""
    many = findings(*[result(level="note")] * 60, result(level="error"), result())
    summed = total(many)
    assert (summed.errors, summed.warnings, summed.notes) == (1, 1, 60)
    assert len(summed.first) == MAX_FINDINGS
    assert [each.level for each in summed.first[:3]] == [1, 2, 3]


def test_only_findings_that_can_be_shown_have_content() -> None:
    """After the first findings of a level, further ones are counted without their content."""
    many = findings(*[result(level="note")] * 60, *[result(level="error")] * 60)
    assert [each.file for each in many] == (["a.py"] * MAX_FINDINGS + [""] * 10) * 2
    summed = total(many + many)
    assert (summed.errors, summed.notes) == (120, 120)
    assert {each.file for each in summed.first} == {"a.py"}


@pytest.mark.parametrize("value", ["[]", "{}", "1", '{"a":{}}'])
def test_a_report_of_very_many_values_is_refused(value: str) -> None:
    """A file whose values would use much more memory than its text is refused before it is parsed."""
    content = f'{{"runs": [{{"results": [{",".join([value] * MAX_VALUES)}]}}]}}'
    with pytest.raises(UnreadableError, match="values"):
        read_findings(content.encode(), "/w")


def test_a_dense_report_of_the_largest_size_is_read() -> None:
    """A report of 16 MiB is read if its findings are as short as those of analysers."""
    one = json.dumps(result("src/a.py", ruleId="rule", level="error"), separators=(",", ":"))
    content = f'{{"runs":[{{"results":[{",".join([one] * ((16 << 20) // (len(one) + 1)))}]}}]}}'
    assert len(read_findings(content.encode(), "/w")) > 100_000
