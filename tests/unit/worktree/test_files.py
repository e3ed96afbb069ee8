"""Safe file operations."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.support.disk import Disk
from worktree_svc.storage import files


def test_a_write_that_fails_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file keeps its old content until the new content is completely on disk."""
    path = tmp_path / "state.json"
    files.write_atomically(path, "old")

    def broken(_: int) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="disk gone"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"


def test_a_write_is_on_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new content is synced before its rename, and the folder after that."""
    disk = Disk(monkeypatch, tmp_path)
    files.write_atomically(tmp_path / "state.json", "new")
    assert disk.done == ["sync state.json.new", "rename state.json", "sync ."]


def test_a_copy_is_never_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that fails halfway leaves the old content; a link in the way is not followed."""
    source, target, precious = tmp_path / "source", tmp_path / "target", tmp_path / "precious"
    source.write_text("new")
    target.write_text("old")
    precious.write_text("precious")
    (tmp_path / "target.new").symlink_to(precious)
    copy = shutil.copyfileobj

    def half(_: BinaryIO, scratch: BinaryIO) -> None:
        scratch.write(b"ne")
        raise OSError("disk gone")

    monkeypatch.setattr(shutil, "copyfileobj", half)
    with pytest.raises(OSError, match="disk gone"):
        files.copy_atomically(source, target)
    assert (target.read_text(), precious.read_text()) == ("old", "precious")
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    files.copy_atomically(source, target)
    assert target.read_text() == "new"


def test_removing_never_follows_a_link(tmp_path: Path) -> None:
    """A link is removed but not its target; a missing path is not an error."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").symlink_to(tmp_path / "precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    for name in ("link", "folder", "nowhere"):
        files.remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious" / "file").exists()


def written_meanwhile(monkeypatch: pytest.MonkeyPatch, folder: Path, times: int) -> None:
    """Creates a file in `folder` between its listing and its removal, the first `times` times."""
    rmdir, left = os.rmdir, [None] * times

    def late(path: str, *, dir_fd: int | None = None) -> None:
        if left and Path(path).name == folder.name:
            left.pop()
            (folder / "late").touch()
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", late)


@pytest.mark.parametrize("times", [1, 19])
def test_a_folder_that_others_still_write_to_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A file that appears during the removal, as of a sandbox that is starting there, is removed too."""
    monkeypatch.setattr(files, "_PAUSE", 0)
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    written_meanwhile(monkeypatch, folder, times)
    files.remove(folder)
    assert not folder.exists()


def test_a_removal_ends_though_others_never_stop_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal gives up with the error of the system after some tries."""
    monkeypatch.setattr(files, "_PAUSE", 0)
    folder = tmp_path / "folder"
    folder.mkdir()
    written_meanwhile(monkeypatch, folder, 20)
    with pytest.raises(OSError, match="not empty"):
        files.remove(folder)


def test_closed_folders_are_opened_and_foreign_files_are_returned(tmp_path: Path) -> None:
    """Folders without permissions become accessible at any depth; paths of other users are returned."""
    root = os.geteuid() == 0
    (tmp_path / "blind" / "deep").mkdir(parents=True)
    (tmp_path / "blind" / "deep" / "file").touch(mode=0o000)
    (tmp_path / "foreign").touch(mode=0o600 if root else 0o000)
    if root:
        os.chown(tmp_path / "foreign", 65534, 65534)
    (tmp_path / "blind" / "deep").chmod(0o000)
    (tmp_path / "blind").chmod(0o000)
    code = "import sys, pathlib; from worktree_svc.storage import files; print(files.unlock(pathlib.Path(sys.argv[1])))"
    # Nothing is inaccessible to root while it has these capabilities.
    powers = "--bounding-set=-dac_override,-dac_read_search,-fowner"
    printed = subprocess.run(
        [*(["setpriv", powers] if root else []), sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(files.__file__).parents[2],
    ).stdout
    assert printed.strip() == (f"[{tmp_path / 'foreign'!r}]" if root else "[]")
    assert (tmp_path / "blind" / "deep" / "file").stat().st_mode & 0o400
