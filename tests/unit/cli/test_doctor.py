from pathlib import Path

import pytest

from heddle import pb
from heddle.cli.admin import machine_checks
from heddle.cli.admin.doctor import worker_findings
from heddle.cli.admin.machine_checks import epochs, repository, set_aside
from heddle.cli.admin.repository_checks import filters
from heddle.cli.app import app
from heddle.cli.console.command_line import execute
from heddle.config import Settings
from heddle.files.data_folder import repository_name
from heddle.files.fencing import FILES, REPAIR
from tests.support.repositories import git, make_repository


@pytest.mark.parametrize("held", [True, False])
def test_the_write_boundary_is_told_with_what_mends_it(held: bool) -> None:
    """Doctor says what enforces the write boundary, or why nothing does and how to fix it."""
    told = pb.WriteBoundary(held=held, detail="bwrap is not on PATH", advice="" if held else "install it")
    found = worker_findings(pb.Worker(name="workers/w", connected=True, write_boundary=told))
    (finding,) = [each for each in found if each.subject == "write boundary on workers/w"]
    assert finding.ok is (True if held else None)
    assert finding.advice == ("" if held else "install it")
    assert "bwrap is not on PATH" in finding.detail


@pytest.mark.parametrize(
    ("available", "needs_login", "ok"), [(True, False, True), (True, True, None), (False, False, None)]
)
def test_an_agent_without_a_login_is_not_good(available: bool, needs_login: bool, ok: bool | None) -> None:
    """Doctor marks only agents that can work; for others it says what is missing."""
    program = pb.AgentProgram(name="claude", available=available, needs_login=needs_login, detail="log in")
    found = worker_findings(pb.Worker(name="workers/w", connected=True, agents=[program]))
    (finding,) = [each for each in found if each.subject == "agent claude on workers/w"]
    assert (finding.ok, finding.detail) == (ok, "log in")


def test_a_repository_is_looked_at_as_work_does(tmp_path: Path) -> None:
    """Doctor reports low disk space for the repository's folder and a missing folder."""
    there = make_repository(tmp_path / "repository")
    assert [each.ok for each in repository(there, 1)] == [True]
    (low,) = repository(there, 1 << 60)
    assert (low.ok, low.subject) == (False, f"disk of {there}")
    assert "HEDDLE_MIN_FREE_BYTES" in low.advice
    (away,) = repository(tmp_path / "away", 1)
    assert (away.ok, away.detail) == (False, "is not there")


def test_filters_that_heddle_does_not_run_are_named(tmp_path: Path) -> None:
    """Doctor names a filter that came after the first use: an error once files use it, until the operator allows it."""
    home, there = tmp_path / "home", make_repository(tmp_path / "repository")
    settings = Settings.read({"HEDDLE_HOME": str(home)})
    named = Settings.read({"HEDDLE_HOME": str(home), "HEDDLE_FILTERS": "lfs,crypt"})
    first = home / "repositories" / repository_name((there / ".git").resolve())
    first.mkdir(parents=True)
    (first / "filters").write_text('[filter "lfs"]\n\tclean = git-lfs clean\n')
    git(there, "config", "filter.lfs.clean", "git-lfs clean")
    assert filters(there, settings) == []
    git(there, "config", "filter.crypt.clean", "crypt clean")
    (unused,) = filters(there, settings)
    assert (unused.ok, unused.subject) == (None, f"git filters of {there}")
    assert "does not run the filter crypt of .git/config. It was added or changed after" in unused.detail
    (there / ".gitattributes").write_text("*.secret filter=crypt\n")
    git(there, "add", ".gitattributes")
    git(there, "commit", "--quiet", "-m", "Encrypt")
    (there / "folder").mkdir()
    for folder in (there, there / "folder"):
        (used,) = filters(folder, settings)
        assert used.ok is False
        assert "have the filter crypt (.gitattributes)" in used.detail
        assert "start the worker with HEDDLE_FILTERS=crypt; or define" in used.advice
        assert filters(folder, named) == []


def test_filters_without_a_first_use_are_allowed(tmp_path: Path) -> None:
    """A project that Heddle has not used yet may run its filters, unless HEDDLE_FILTERS allows none."""
    there = make_repository(tmp_path / "repository", {".gitattributes": "*.secret filter=crypt\n"})
    home = str(tmp_path / "home")
    assert filters(there, Settings.read({"HEDDLE_HOME": home})) == []
    git(there, "config", "filter.crypt.clean", "crypt clean")
    assert filters(there, Settings.read({"HEDDLE_HOME": home})) == []
    (found,) = filters(there, Settings.read({"HEDDLE_HOME": home, "HEDDLE_FILTERS": "none"}))
    assert (found.ok, "HEDDLE_FILTERS allows none to run." in found.detail) == (False, True)
    assert filters(tmp_path, Settings.read({"HEDDLE_HOME": home})) == []


def test_worktrees_that_were_set_aside_are_named(tmp_path: Path) -> None:
    """Doctor says which worktrees Heddle moved away, and the command that removes them."""
    home = tmp_path / "my home"
    assert set_aside(home) == []
    for name in ("r1-api-2", "r1-api-1"):
        (home / "aside" / name).mkdir(parents=True)
    (found,) = set_aside(home)
    first, second = (f"'{home}/aside/r1-api-{number}'" for number in (1, 2))
    assert (found.ok, found.subject) == (None, "set aside")
    assert f"neither keep nor remove: {first}, {second}" in found.detail
    assert found.advice.endswith(f"sudo rm -rf {first} {second}")


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
    assert execute(app, REPAIR.split()[1:]) == 0
    assert str(2**62) in capsys.readouterr().out
    assert [(tmp_path / name).read_text() for name in FILES] == ["0", "7"]
    assert epochs(tmp_path) == []
    assert execute(app, REPAIR.split()[1:]) == 0
    assert "nothing to repair" in capsys.readouterr().err
