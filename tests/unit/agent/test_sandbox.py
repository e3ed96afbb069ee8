import json
from pathlib import Path

import pytest

from agent_svc.sandbox.boundary import boundary
from agent_svc.sandbox.repository import checkout
from heddle.config import ConfigError, Settings
from heddle.names import EpicName
from heddle.testing.driver_stage import make_worktree
from heddle.worktree_paths import git_folder_of, record_file_of, view_of


@pytest.fixture(autouse=True)
def _no_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates a machine without bubblewrap."""
    monkeypatch.setenv("PATH", str(tmp_path))


def settings(tmp_path: Path, sandbox: str) -> Settings:
    return Settings.read({"HEDDLE_HOME": str(tmp_path), "HEDDLE_SANDBOX": sandbox})


def test_without_bubblewrap_agents_are_not_held(tmp_path: Path) -> None:
    """By default the service starts without a sandbox and says why and how to fix it."""
    found = boundary(settings(tmp_path, "auto"))
    assert found.sandbox is None
    assert not found.report.held
    assert found.report.detail == "bwrap is not on PATH"
    assert "apt-get install bubblewrap" in found.report.advice


def test_a_required_sandbox_must_be_there(tmp_path: Path) -> None:
    """If a required sandbox is missing, the message says what to do."""
    with pytest.raises(ConfigError, match=r"HEDDLE_SANDBOX is required, but bwrap is not on PATH: install"):
        boundary(settings(tmp_path, "required"))


def test_a_bubblewrap_that_does_not_work_is_none(tmp_path: Path) -> None:
    """A bubblewrap that cannot create a sandbox is reported with its own message."""
    program = tmp_path / "bwrap"
    program.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo bubblewrap 9.9 || { echo 'bwrap: not here' >&2; exit 1; }\n"
    )
    program.chmod(0o755)
    told = boundary(settings(tmp_path, "auto")).report
    assert told.detail == "bwrap cannot make a sandbox: bwrap: not here"
    assert "user namespaces" in told.advice


def test_off_is_off(tmp_path: Path) -> None:
    """The operator can disable the sandbox."""
    assert boundary(settings(tmp_path, "off")).report.detail == "HEDDLE_SANDBOX is off"


def test_a_worktree_shows_its_repository(tmp_path: Path) -> None:
    """Commits write only the worktree's view of the repository; the repository itself is read-only."""
    common = tmp_path / "repository/.git"
    worktree = make_worktree(tmp_path / "home", EpicName("r", "e"))
    git_folder_of(worktree).mkdir(parents=True)
    record_file_of(worktree).write_text(json.dumps({"common": str(common)}))
    found = checkout(worktree)
    assert found is not None
    assert [path.relative_to(view_of(worktree)) for path in found.writable()] == [
        Path("worktrees/e"),
        Path("objects"),
        Path("refs"),
        Path("logs"),
    ]
    assert {common, view_of(worktree), view_of(worktree) / "objects/info"} <= set(found.read_only())


@pytest.mark.parametrize("how", ["no record", "no common", "no view", "link"])
def test_another_folder_shows_nothing(tmp_path: Path, how: str) -> None:
    """A folder that worktree_svc did not record, or whose view is a link, gives access to no folder of git."""
    worktree = make_worktree(tmp_path / "home", EpicName("r", "e"))
    common = "" if how == "no common" else str(tmp_path)
    record_file_of(worktree).write_text(json.dumps({"common": common}))
    if how == "no record":
        record_file_of(worktree).unlink()
    if how == "link":
        (tmp_path / "elsewhere/worktrees/e").mkdir(parents=True)
        view_of(worktree).symlink_to(tmp_path / "elsewhere")
    elif how != "no view":
        git_folder_of(worktree).mkdir(parents=True)
    assert checkout(worktree) is None
