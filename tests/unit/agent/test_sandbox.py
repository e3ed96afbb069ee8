from pathlib import Path

import pytest

from agent_svc.sandbox.boundary import boundary
from agent_svc.sandbox.repository import checkout
from heddle.config import ConfigError, Settings
from heddle.names import EpicName


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
    """Commits can write the worktree's git folder, the objects and the epic's branch; packs are read-only."""
    git_dir = tmp_path / "repository/.git/worktrees/e"
    git_dir.mkdir(parents=True)
    worktree = tmp_path / "e"
    worktree.mkdir()
    (worktree / ".git").write_text(f"gitdir: {git_dir}\n")
    found = checkout(worktree)
    assert found is not None
    assert [
        path.relative_to(tmp_path / "repository/.git") for path in found.writable(EpicName("r", "e"))
    ] == [
        Path("worktrees/e"),
        Path("objects"),
        Path("refs/heads/heddle/r/epics"),
        Path("logs/refs/heads/heddle/r/epics"),
    ]
    assert found.common / "objects/pack" in found.read_only()


@pytest.mark.parametrize("text", ["gitdir: /somewhere/else\n", "gitdir: /\n", "nonsense", ""])
def test_another_pointer_shows_nothing(tmp_path: Path, text: str) -> None:
    """A .git file that does not belong to a linked worktree gives access to no folder."""
    (tmp_path / ".git").write_text(text)
    assert checkout(tmp_path) is None
