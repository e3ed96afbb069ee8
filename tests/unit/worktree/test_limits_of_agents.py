"""Limits on what an agent left behind: what is exactly at one counts, and one more does not."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from worktree_svc.content import ignored_files
from worktree_svc.content.agent_merges import _is_undecided, _log, listed
from worktree_svc.content.ignored_files import IgnoredFiles, Span, _summary, written
from worktree_svc.git import object_import
from worktree_svc.git.process.command import Git
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreePaths

SPAN = Span(100, 200)


@pytest.mark.parametrize(("count", "kept"), [(20, 20), (21, 20)])
def test_number_of_ignored_files_that_are_named(count: int, kept: int) -> None:
    """The first twenty by path are named, and all are counted."""
    paths = [f"{number:02}" for number in range(count)]
    assert _summary(paths[::-1]) == IgnoredFiles(paths[:kept], count)


class Names:
    """Stands for a worktree: a file in it is its name, which is cheaper than fifty thousand paths."""

    def __truediv__(self, name: str) -> str:
        return name


def found(monkeypatch: pytest.MonkeyPatch, index: Path, listed: Iterator[str], *, own: bool) -> int:
    """Returns how many of git's ignored files are found, if the agent has written all or only `last`."""
    index.touch()
    git = SimpleNamespace(items=lambda *_: listed)
    project = cast("Project", SimpleNamespace(git=SimpleNamespace(at=lambda *_, **__: git)))
    monkeypatch.setattr("worktree_svc.content.checkouts.exists", lambda _: True)
    monkeypatch.setattr(ignored_files, "_files", lambda _, entry: (entry,))
    monkeypatch.setattr(ignored_files, "_was_written", lambda name, _: own or name == "last")
    paths = cast("WorktreePaths", SimpleNamespace(worktree=Names(), index=index))
    return written(project, paths, [SPAN]).count


def names(count: int, *last: str) -> Iterator[str]:
    """Yields names of files; whoever reads beyond them fails."""
    yield from map(str, range(count))
    yield from last
    raise AssertionError("read too much")


def test_number_of_ignored_files_that_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ten thousand files are counted, and none after them is looked at."""
    assert found(monkeypatch, tmp_path / "index", names(10_000), own=True) == 10_000
    assert found(monkeypatch, tmp_path / "index", map(str, range(9_999)), own=True) == 9_999
    with pytest.raises(AssertionError, match="read too much"):
        found(monkeypatch, tmp_path / "index", names(9_999), own=True)


def test_number_of_ignored_files_that_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fifty-thousandth file is looked at, and none after it."""
    assert found(monkeypatch, tmp_path / "index", names(49_999, "last"), own=False) == 1
    assert found(monkeypatch, tmp_path / "index", names(50_000, "last"), own=False) == 0


def test_time_of_an_ignored_file_is_in_nanoseconds(tmp_path: Path) -> None:
    """A file counts if its inode changed within a span, whose both ends belong to it."""
    file = tmp_path / "file"
    file.touch()
    at = file.lstat().st_ctime_ns
    for start, end, counts in ((at, at, True), (at - 9, at - 1, False), (at + 1, at + 9, False)):
        assert ignored_files._was_written(file, [Span(start, end)]) is counts
    assert ignored_files._was_written(file, [Span(0, 1), Span(at, at)])
    assert not ignored_files._was_written(tmp_path / "removed", [Span(0, 1 << 62)])


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, " and 1 more"), (25, " and 5 more")])
def test_number_of_files_in_a_message(count: int, more: str) -> None:
    """A message names twenty files, and says how many more there are."""
    assert listed([f"f{number}" for number in range(count)]) == ", ".join(f"f{n}" for n in range(20)) + more


@pytest.mark.parametrize(("beyond", "commit"), [(0, "1" * 40), (1, "Ada")])
def test_size_of_a_reflog(beyond: int, commit: str, tmp_path: Path) -> None:
    """The last mebibyte of the reflog is read, so of a longer one the first line is cut."""
    first, last = f" {'1' * 40} Ada\tmerge side: ", f"0 {'2' * 40} Ada\tcommit: x\n"
    padding = "x" * ((1 << 20) + beyond - len(first) - len(last) - 1)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "HEAD").write_text(f"{first}{padding}\n{last}")
    assert [entry.new for entry in _log(tmp_path)] == [commit, "2" * 40]


def test_size_of_a_file_with_conflict_markers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Markers are looked for in the first 64 MiB of a file."""
    asked: list[int] = []

    def read(_root: Path, _path: str, limit: int) -> bytes:
        asked.append(limit)
        return b"x"

    monkeypatch.setattr("heddle.files.beneath.read", read)
    assert not _is_undecided(tmp_path, "a.txt", {"1", "2", "3"})
    assert asked == [64 << 20]


def test_what_an_unmerged_file_needs(tmp_path: Path) -> None:
    """A file is unresolved if it has both markers, is binary or missing, or if only one side has it."""
    for content, undecided in (
        (b"<<<<<<< a\n=======\n>>>>>>> b\n", True),
        (b"<<<<<<< a\n", False),
        (b">>>>>>> b\n", False),
        (b"x <<<<<<< a\nx >>>>>>> b\n", False),
        (b"<<<<<<<\n>>>>>>>\n", False),
        (b"\0", True),
    ):
        (tmp_path / "a.txt").write_bytes(content)
        assert _is_undecided(tmp_path, "a.txt", {"2", "3"}) is undecided, content
    assert _is_undecided(tmp_path, "missing", {"2", "3"})
    (tmp_path / "a.txt").write_bytes(b"x\n")
    assert _is_undecided(tmp_path, "a.txt", {"1", "2"})
    assert _is_undecided(tmp_path, "a.txt", {"1", "3"})


class RecordedGit:
    """Records the commands by which a pack is verified."""

    def __init__(self, *, partial: bool) -> None:
        self.commands: list[str] = []
        self._config = b"origin\n" if partial else b""

    def run(self, *arguments: str) -> SimpleNamespace:
        assert arguments == ("config", "extensions.partialclone")
        return SimpleNamespace(stdout=self._config)

    def text(self, *arguments: str, stdin: bytes = b"") -> str:
        assert not stdin or stdin.startswith(b"PACK")
        self.commands.append(" ".join(arguments[:3]).removesuffix(".pack"))
        return ""


@pytest.mark.parametrize(
    ("objects", "size", "is_loose"),
    [
        (100, 1 << 10, True),
        (101, 1 << 10, False),
        (1, 8 << 20, True),
        (1, (8 << 20) + 1, False),
        (100, 8 << 20, True),
        # A number that is small in its last byte only.
        (256, 1 << 10, False),
    ],
)
def test_objects_that_are_stored_one_by_one(objects: int, size: int, is_loose: bool, tmp_path: Path) -> None:
    """A pack of a hundred objects and 8 MiB is unpacked, a larger one is kept; either is verified."""
    pack = tmp_path / "a.pack"
    pack.write_bytes((b"PACK\0\0\0\2" + objects.to_bytes(4, "big")).ljust(size, b"x"))
    git = RecordedGit(partial=False)
    object_import._verify(cast("Git", git), pack)
    assert git.commands == ["unpack-objects -q --strict" if is_loose else f"index-pack --strict {tmp_path}/a"]
    assert pack.exists() is not is_loose


def test_objects_of_a_partial_clone_stay_in_their_pack(tmp_path: Path) -> None:
    """Their form is checked, but not everything that they refer to must exist."""
    pack = tmp_path / "a.pack"
    pack.write_bytes(b"PACK\0\0\0\2\0\0\0\1")
    git = RecordedGit(partial=True)
    object_import._verify(cast("Git", git), pack)
    assert (git.commands, pack.exists()) == ([f"index-pack --fsck-objects {tmp_path}/a"], True)
