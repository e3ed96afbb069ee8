"""A data folder inside a repository is not committed."""

from pathlib import Path

import pytest

from heddle.config import ConfigError
from heddle.data_folder import keep_out
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
