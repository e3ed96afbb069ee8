"""The files that CONTRIBUTING.md lists for a typical change are those of the change's example."""

import re
from typing import Final, NamedTuple

import pytest

from tests.unit.repo.files import ROOT, committed, relative


class Example(NamedTuple):
    """An earlier change: the text that its files contain, and where to search for them."""

    pattern: str
    scope: tuple[str, ...]


# Generated files and tests are not counted, because the table names the tests separately.
EXAMPLES: Final = {
    "an agent kind": Example(
        r"(?i)(?<![-\w])codex(?![-\w])",
        ("*.py", "*.proto", "docs/agents.md", "docs/plan.md", ":!agent_svc/agents/acp"),
    ),
    "an event kind": Example(r"\b(hold_lifted|HoldLifted)\b", ("*.py", "*.js", "*.proto", "docs/events.md")),
    "an RPC": Example(
        r"\b(LiftHold|def lift_hold)\b", ("*.proto", "scheduler_svc/api", "heddle/client/client.py")
    ),
    "a column": Example(r"\bheld_by\b", ("scheduler_svc/store", "*.proto")),
    "a CLI command": Example(
        r"\bhold_commands\b|\bheddle lift\b|\bdef lift\b", ("heddle/cli", "docs/cli.md")
    ),
    "a report format": Example(r"(?i)\bsarif\b", ("*.py", "*.proto", "docs/plan.md")),
    "a tab of a session": Example(r"\bQuality\b", ("ui_svc/web/src", "docs/sessions.md")),
    "a policy rule with a new action": Example(r"\bDenyOverdue\b", ("scheduler_svc",)),
}

ROW: Final = re.compile(r"^\| (an? [^|]+?) \(([^|]+)\) \| (\d+) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
PATH: Final = re.compile(r"`([\w./*-]+)`")


class Row(NamedTuple):
    """The row of CONTRIBUTING.md for one kind of change."""

    files: int
    new: list[str]
    edited: list[str]


def rows() -> dict[str, Row]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {
        change: Row(int(files), PATH.findall(new), PATH.findall(edited))
        for change, _, files, new, edited in ROW.findall(text)
    }


def touched(example: Example) -> set[str]:
    """Returns the files that contain the example's name."""
    generated = (":!tests", ":!heddle/v1", ":!*.schema.json")
    return {
        relative(path)
        for path in committed(*example.scope, *generated)
        if re.search(example.pattern, path.read_text(encoding="utf-8"))
    }


def test_every_kind_of_change_has_a_row() -> None:
    """The table has exactly the kinds of change that this test measures."""
    assert set(rows()) == set(EXAMPLES)


@pytest.mark.parametrize("change", EXAMPLES)
def test_the_listed_files_are_the_real_ones(change: str) -> None:
    """The table lists exactly the files that name the example of a change, and their number."""
    row = rows()[change]
    found = touched(EXAMPLES[change])
    new = {path for path in found if any(path == each or path.startswith(each) for each in row.new)}
    assert all(any(path.startswith(each) for path in new) for each in row.new), "a new file is not there"
    assert sorted(found - new) == sorted(row.edited), f"CONTRIBUTING.md, {change}: correct the edited files"
    assert row.files == len(row.new) + len(row.edited), f"CONTRIBUTING.md, {change}: correct the number"
