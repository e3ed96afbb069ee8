from pathlib import Path

import pytest

from heddle import pb
from heddle.cli.admin.doctor import worker_findings
from heddle.cli.admin.machine_checks import epochs, repository
from heddle.cli.app import main
from heddle.fencing import FILES, REPAIR
from tests.support.repositories import make_repository


@pytest.mark.parametrize("held", [True, False])
def test_the_write_boundary_is_told_with_what_mends_it(held: bool) -> None:
    """Doctor says what enforces the write boundary, or why nothing does and how to fix it."""
    told = pb.WriteBoundary(held=held, detail="bwrap is not on PATH", advice="" if held else "install it")
    found = worker_findings(pb.Worker(name="workers/w", connected=True, write_boundary=told))
    (finding,) = [each for each in found if each.subject == "write boundary on workers/w"]
    assert finding.ok is (True if held else None)
    assert finding.advice == ("" if held else "install it")
    assert "bwrap is not on PATH" in finding.detail


def test_a_repository_is_looked_at_as_work_does(tmp_path: Path) -> None:
    """Doctor reports low disk space for the repository's folder and a missing folder."""
    there = make_repository(tmp_path / "repository")
    assert [each.ok for each in repository(there, 1)] == [True]
    (low,) = repository(there, 1 << 60)
    assert (low.ok, low.subject) == (False, f"disk of {there}")
    assert "HEDDLE_MIN_FREE_BYTES" in low.advice
    (away,) = repository(tmp_path / "away", 1)
    assert (away.ok, away.detail) == (False, "is not there")


def test_an_epoch_that_stops_the_fleet_is_found_and_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doctor finds a file that refuses every leader and names the command, which repairs only such files."""
    for name, epoch in zip(FILES, (2**62, 7), strict=True):
        (tmp_path / name).write_text(str(epoch))
    (finding,) = epochs(tmp_path)
    assert finding.ok is False
    assert FILES[0] in finding.detail
    assert REPAIR in finding.advice
    monkeypatch.setenv("HEDDLE_HOME", str(tmp_path))
    assert main(REPAIR.split()[1:]) == 0
    assert str(2**62) in capsys.readouterr().out
    assert [(tmp_path / name).read_text() for name in FILES] == ["0", "7"]
    assert epochs(tmp_path) == []
    assert main(REPAIR.split()[1:]) == 0
    assert "nothing to repair" in capsys.readouterr().err
