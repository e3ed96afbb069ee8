"""The browser code uses the event kinds of the contract."""

import re

import pytest

from heddle.events import kinds
from tests.unit.repo.files import ROOT

CASE = re.compile(r"^ *case \"(\w+)\":", re.MULTILINE)
COMPARED = re.compile(r"\b(?:turn|event)\.type === \"(\w+)\"")
# RUN_STATES and similar names: an object with an event kind for each key.
TABLE = re.compile(r"^const \w+_STATES: [^=]+ = \{([^}]+)\};$", re.MULTILINE)
ASKED = re.compile(r"(?:kinds=|KINDS = \")([a-z_,]+)")

SOURCES = ROOT / "ui_svc" / "web" / "src"
TEXTS = {path.name: path.read_text() for path in SOURCES.rglob("*.*")}


def named(module: str) -> set[str]:
    text = TEXTS[module]
    tables = {key for row in TABLE.findall(text) for key in re.findall(r"(\w+):", row)}
    return {*CASE.findall(text), *tables}


@pytest.mark.parametrize(
    ("module", "marked"), [("past.ts", kinds.HISTORY), ("timelineSpans.ts", kinds.SPANS)]
)
def test_a_module_reads_what_the_server_sends_it(module: str, marked: frozenset[str]) -> None:
    """Replay and timeline handle exactly the kinds that are marked for them."""
    assert named(module) == marked


def test_no_module_waits_for_a_kind_that_does_not_exist() -> None:
    """A misspelt kind would never arrive."""
    asked = {
        kind
        for text in TEXTS.values()
        for found in ASKED.findall(text)
        for kind in found.strip(",").split(",")
    }
    assert asked
    assert asked <= kinds.RUN
    compared = {kind for text in TEXTS.values() for kind in COMPARED.findall(text)}
    assert compared
    assert compared <= set(kinds.OPTIONS)
    assert {*CASE.findall(TEXTS["logRows.ts"])} <= set(kinds.OPTIONS)
