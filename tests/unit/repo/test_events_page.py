"""docs/events.md describes every event of the contract and no other."""

import re

from heddle.events.kinds import OPTIONS
from tests.unit.repo.files import ROOT

ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "events.md").read_text())


def test_every_kind_is_described_once() -> None:
    """Each field of the event's payload has one row, and each row is a field."""
    assert sorted(kind for kind, _, _ in ROWS) == sorted(OPTIONS)


def test_the_table_names_the_logs_that_the_contract_names() -> None:
    """Each row names the log that contains the event."""
    told = {kind: set(re.findall(r"session|run", log.partition(", of ")[0])) for kind, _, log in ROWS}
    logs = {
        kind: {log for log in ("session", "run") if getattr(options, log)}
        for kind, options in OPTIONS.items()
    }
    assert told == logs
