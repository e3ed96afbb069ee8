import pytest

from heddle import pb
from heddle.cli.doctor import worker_findings


@pytest.mark.parametrize("held", [True, False])
def test_the_write_boundary_is_told_with_what_mends_it(held: bool) -> None:
    """Doctor says what holds agents, or why nothing does and the line that mends it."""
    told = pb.WriteBoundary(held=held, detail="bwrap is not on PATH", advice="" if held else "install it")
    found = worker_findings(pb.Worker(name="workers/w", connected=True, write_boundary=told))
    (finding,) = [each for each in found if each.subject == "write boundary on workers/w"]
    assert finding.ok is (True if held else None)
    assert finding.advice == ("" if held else "install it")
    assert "bwrap is not on PATH" in finding.detail
