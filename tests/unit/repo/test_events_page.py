"""docs/events.md tells clients about every event, and about no other."""

import re

from heddle import pb
from tests.unit.repo.files import ROOT

ROW = re.compile(r"^\| `(\w+)` \| (.+?) \|$", re.MULTILINE)


def test_every_kind_is_described_once() -> None:
    """Each field of the event's payload has one row, and each row is a field."""
    rows = ROW.findall((ROOT / "docs" / "events.md").read_text())
    kinds = [field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields]
    assert sorted(kind for kind, _ in rows) == sorted(kinds)
