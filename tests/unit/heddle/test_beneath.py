"""Files below a folder that an agent can write to."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from heddle.files import beneath


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_bytes(b"inside")
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "b" / "file").write_bytes(b"private")
    return root


def test_a_file_is_read_up_to_the_limit(root: Path) -> None:
    """A regular file is read, at most as many bytes as asked for."""
    assert beneath.read(root, "a/b/file", 100) == b"inside"
    assert beneath.read(root, Path("a", "b", "file"), 2) == b"in"


def _file_is_link(root: Path) -> None:
    (root / "a" / "b" / "file").unlink()
    (root / "a" / "b" / "file").symlink_to(root.parent / "outside" / "b" / "file")


def _folder_is_link(root: Path) -> None:
    (root / "a").rename(root / "moved")
    (root / "a").symlink_to(root.parent / "outside")


def _file_is_pipe(root: Path) -> None:
    (root / "a" / "b" / "file").unlink()
    os.mkfifo(root / "a" / "b" / "file")


def _file_is_folder(root: Path) -> None:
    (root / "a" / "b" / "file").unlink()
    (root / "a" / "b" / "file").mkdir()


@pytest.mark.parametrize("swap", [_file_is_link, _folder_is_link, _file_is_pipe, _file_is_folder])
def test_only_regular_files_inside_are_read(root: Path, swap: Callable[[Path], None]) -> None:
    """A link, also in place of a folder, a pipe and a folder are errors, and reading a pipe does not wait."""
    swap(root)
    with pytest.raises(OSError, match=r"(?i)not a (regular file|directory)|symbolic links"):
        beneath.read(root, "a/b/file", 100)


@pytest.mark.parametrize("path", ["../outside/b/file", "a/../../outside/b/file", "/etc/hostname"])
def test_a_path_cannot_lead_out(root: Path, path: str) -> None:
    """A path with .. or an absolute path is an error for reading, creating and opening a folder."""
    for use in (
        lambda: beneath.read(root, path, 10),
        lambda: beneath.create(root, path, b"x"),
        lambda: beneath.folder(root, path).__enter__(),
    ):
        with pytest.raises(OSError, match="leads out"):
            use()


def test_a_new_file_gets_its_folders(root: Path) -> None:
    """A file is created with missing folders; an existing file stays as it is."""
    assert beneath.create(root, "new/folder/file", b"first")
    assert not beneath.create(root, "new/folder/file", b"second")
    assert (root / "new" / "folder" / "file").read_bytes() == b"first"


def test_nothing_is_created_through_a_link(root: Path) -> None:
    """Neither a link to a missing file nor a link in place of a folder creates anything at its target."""
    target = root.parent / "outside" / "new"
    (root / "link").symlink_to(target)
    assert not beneath.create(root, "link", b"x")
    _folder_is_link(root)
    with pytest.raises(NotADirectoryError):
        beneath.create(root, "a/new", b"x")
    assert not target.exists()


def test_an_open_folder_stays_the_same(root: Path) -> None:
    """What replaces a folder after it was opened is not seen through its descriptor."""
    with beneath.folder(root, "a/b") as opened:
        _folder_is_link(root)
        (root / "moved" / "b" / "second").touch()
        assert [entry.name for entry in beneath.entries(opened)] == ["file", "second"]


def test_a_walk_stays_inside(root: Path) -> None:
    """A walk names files and links, enters no link, and skips folders of the given names."""
    (root / "a" / "link").symlink_to(root.parent / "outside")
    (root / "skipped").mkdir()
    (root / "skipped" / "file").touch()
    found = [path for path, _ in beneath.walk(root, lambda name: name == "skipped")]
    assert found == ["a/link", "a/b/file"]


def test_a_folder_that_becomes_a_link_during_a_walk_is_not_entered(root: Path) -> None:
    """A folder that is replaced by a link while its parent is being read is left out."""
    (root / "first").touch()
    found = []
    for path, _ in beneath.walk(root, lambda _: False):
        found.append(path)
        if path == "first":
            _folder_is_link(root)
    assert found == ["first"]


def test_a_walk_into_very_deep_folders_ends(root: Path) -> None:
    """Folders beyond the depth limit are left out, so they cannot use up descriptors."""
    deep = root.joinpath(*["d"] * (beneath.MAX_DEPTH + 5))
    deep.mkdir(parents=True)
    (deep / "file").touch()
    assert [path for path, _ in beneath.walk(root, lambda _: False)] == ["a/b/file"]
