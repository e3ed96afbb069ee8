"""The data folder is private to its user, and is not committed."""

import os
import stat
from pathlib import Path

import pytest

from heddle.config import ConfigError
from heddle.files.data_folder import keep_out, make_private
from tests.support.repositories import git, make_repository


def test_git_ignores_a_data_folder_in_a_repository(tmp_path: Path) -> None:
    """`git add -A` adds nothing from the data folder; a user's own ignore file stays."""
    repository = make_repository(tmp_path / "repository")
    home = repository / "deep" / "heddle"
    home.mkdir(parents=True)
    assert keep_out(home) == repository
    (home / "heddle.db").write_text("data")
    git(repository, "add", "-A")
    assert git(repository, "status", "--porcelain") == ""
    (home / ".gitignore").write_text("mine\n")
    assert keep_out(home) == repository
    assert (home / ".gitignore").read_text() == "mine\n"


def test_a_data_folder_elsewhere_is_left_alone(tmp_path: Path) -> None:
    """Outside a repository no ignore file is written."""
    assert keep_out(tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [".", ".git/heddle"])
def test_a_repository_is_no_data_folder(tmp_path: Path, place: str) -> None:
    """A repository or git's own folder is refused with instructions, and nothing in it is ignored."""
    repository = make_repository(tmp_path / "repository")
    with pytest.raises(ConfigError, match="outside any repository"):
        keep_out(repository / place)
    assert not (repository / ".gitignore").exists()


def test_a_new_data_folder_is_private(tmp_path: Path) -> None:
    """A folder that does not exist is created for its user only, whatever the umask."""
    mask = os.umask(0)
    try:
        assert make_private(tmp_path / "new" / "home") == ""
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new" / "home").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o2770])
def test_a_data_folder_that_others_can_access_is_repaired(tmp_path: Path, mode: int) -> None:
    """The access of group and others is removed with a message, once."""
    tmp_path.chmod(mode)
    assert f"mode {mode:04o}" in make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) & 0o777 == 0o700
    assert make_private(tmp_path) == ""


def test_a_folder_of_all_users_is_no_data_folder(tmp_path: Path) -> None:
    """A folder like /tmp keeps its permissions and is refused."""
    tmp_path.chmod(0o1777)
    with pytest.raises(ConfigError, match="all users share"):
        make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_a_foreign_data_folder_that_others_can_access_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of another user is refused if others can access it, unless it is a volume of the platform."""
    tmp_path.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="belongs to user id"):
        make_private(tmp_path)
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    assert "a volume" in make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
