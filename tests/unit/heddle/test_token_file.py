"""Tokens in private files."""

import stat
from pathlib import Path

import pytest

from heddle.config import ConfigError, Settings
from heddle.identity import token_file


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """The first call writes a secret of 256 bits to a private file in a private folder; later ones read it."""
    path = token_file.operator_file(tmp_path / "new" / "home")
    token = token_file.ensure(path)
    assert token.startswith("heddle_")
    assert len(token) == len("heddle_") + 43
    assert token_file.ensure(path) == token
    assert path.read_text() == f"{token}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert token_file.new_token() != token


def test_of_two_processes_one_makes_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that comes second reads the token of the first, and leaves no file."""
    path = tmp_path / "token"
    exists = Path.exists

    def other_is_faster(self: Path) -> bool:
        found = exists(self)
        if self == path and not found:
            path.touch(mode=0o600)
            path.write_text("first\n")
        return found

    monkeypatch.setattr(Path, "exists", other_is_faster)
    assert token_file.ensure(path) == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Any access of others is an error that names the file and what to do."""
    path = token_file.web_file(tmp_path)
    path.write_text("secret\n")
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"{path} can be read by others; remove it"):
        token_file.ensure(path)
    path.chmod(0o600)
    assert token_file.ensure(path) == "secret"


def test_a_client_uses_its_setting_or_the_file_of_the_data_folder(tmp_path: Path) -> None:
    """HEDDLE_TOKEN comes first, then the operator's file; without either, there is no token."""
    home = {"HEDDLE_HOME": str(tmp_path)}
    assert token_file.of_client(Settings.read(home)) == ""
    token_file.operator_file(tmp_path).write_text(" mine \n")
    assert token_file.of_client(Settings.read(home)) == "mine"
    assert token_file.of_client(Settings.read({**home, "HEDDLE_TOKEN": "given"})) == "given"
    assert token_file.operator_file(tmp_path) != token_file.web_file(tmp_path)


def test_the_reading_part_of_a_token_does_not_contain_it() -> None:
    """It is a token of its own, the same each time, and another one for each session."""
    one, other = token_file.reading_part("heddle_one"), token_file.reading_part("heddle_other")
    assert one == token_file.reading_part("heddle_one") != other
    assert one.startswith("heddle_")
    assert "one" not in one
    assert len(one) == len("heddle_") + 64
