"""Files and folders, safely."""

from pathlib import Path

import pytest

from worktree_svc import files


def test_a_write_that_fails_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until everything is on disk, the file holds what it held."""
    path = tmp_path / "state.json"
    files.write_atomically(path, "old")

    def broken(_: int) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="disk gone"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"


def test_removing_never_follows_a_link(tmp_path: Path) -> None:
    """A link goes, what it points to stays; what is not there is fine."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").symlink_to(tmp_path / "precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    for name in ("link", "folder", "nowhere"):
        files.remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious" / "file").exists()
