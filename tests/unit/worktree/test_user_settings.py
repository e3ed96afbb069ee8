"""The settings of a repository's user are read once, and again as soon as they change."""

from pathlib import Path

import pytest

from tests.support.repositories import git, make_repository
from worktree_svc.git import user_settings


def test_a_change_of_any_file_counts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's, an included and the user's file count in git's order, each from the moment it changes."""
    project, mine = make_repository(tmp_path / "project"), tmp_path / "mine"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(mine))
    common, included = project / ".git", tmp_path / "included"

    def name() -> str | None:
        return user_settings.of(common).get("user.name")

    assert name() is None
    mine.write_text("[user]\n\tname = Mine\n")
    assert name() == "Mine"
    included.write_text("[User]\n\tName = Included\n")
    git(project, "config", "include.path", str(included))
    assert name() == "Included"
    included.write_text("[user]\n\tname = Changed\n")
    assert name() == "Changed"
    git(project, "config", "user.name", "Repository")
    assert name() == "Repository"
    git(project, "config", "--unset", "user.name")
    git(project, "config", "--unset", "include.path")
    assert name() == "Mine"
    mine.unlink()
    assert name() is None


def test_git_is_asked_again_only_if_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a change git is asked once in a minute, and for a file that it cannot read each time."""
    common = make_repository(tmp_path / "project") / ".git"
    asked: list[Path] = []
    read = user_settings._read

    def count(folder: Path) -> user_settings._Known:
        asked.append(folder)
        return read(folder)

    monkeypatch.setattr(user_settings, "_read", count)
    assert user_settings.of(common) is user_settings.of(common)
    assert len(asked) == 1
    monkeypatch.setattr(user_settings, "OLDEST_SECONDS", 0.0)
    user_settings.of(common)
    assert len(asked) == 2
    monkeypatch.undo()
    (common / "config").write_text("[broken\n")
    assert user_settings.of(common) == {}
    git_can_read = "[core]\n\trepositoryformatversion = 0\n\tbare\n"
    (common / "config").write_text(git_can_read)
    assert user_settings.of(common)["core.bare"] == "true"
