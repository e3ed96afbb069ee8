from pathlib import Path

import pytest

from heddle import pb
from heddle.cli.admin import machine_checks
from heddle.cli.admin.doctor import worker_findings
from heddle.cli.admin.machine_checks import repository
from heddle.config import Settings
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


@pytest.mark.parametrize(
    ("mode", "there", "ok", "said"),
    [
        ("open", True, None, "set HEDDLE_SANDBOX_NETWORK"),
        ("open", False, None, "install passt"),
        ("internet", True, True, "nothing of this one"),
        ("internet", False, False, "pasta and nsenter and ip not on PATH"),
        ("none", False, True, "reach nothing"),
    ],
)
def test_the_network_of_agents_is_described(
    mode: str, there: bool, ok: bool | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doctor says what agents reach, and what to install and to set so that they do not reach this machine."""
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if there else None)
    found = machine_checks.agents_network(Settings.read({"HEDDLE_SANDBOX_NETWORK": mode}))
    assert found.ok is ok
    assert said in f"{found.detail}; {found.advice}"
