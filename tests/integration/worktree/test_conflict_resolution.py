"""A conflict without markers is resolved only if the agent changes one of its files or lists it in .heddle/keep."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

TARGET = "heddle/r1/merged"
LINES = "".join(f"line {number}\n" for number in range(20))


def lay_base(project: Path) -> None:
    """Commits files on main that both sides change."""
    for name in ("gone", "moved", "renamed", "old/one", "old/two"):
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{name}\n{LINES}")
    (project / "binary").write_bytes(b"\0base")
    (project / "link").symlink_to("base")
    (project / "folder").mkdir()
    (project / "folder" / "file").write_text("base\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=Base")


def theirs(path: Path) -> None:
    """Makes the changes of the target."""
    (path / "gone").unlink()
    (path / "moved").rename(path / "moved-there")
    (path / "renamed").unlink()
    (path / "old").rename(path / "new")
    (path / "binary").write_bytes(b"\0theirs")
    (path / "link").unlink()
    (path / "link").symlink_to("theirs")
    shutil.rmtree(path / "folder")
    (path / "folder").write_text("a file now\n")


def ours(path: Path) -> None:
    """Makes changes that conflict with the target's."""
    (path / "gone").write_text(f"changed\n{LINES}")
    (path / "moved").rename(path / "moved-here")
    (path / "renamed").rename(path / "renamed-here")
    (path / "old" / "three").write_text("three\n")
    (path / "binary").write_bytes(b"\0ours")
    (path / "link").unlink()
    (path / "link").symlink_to("ours")
    (path / "folder" / "file").write_text("ours\n")


async def laid_out(worker: Worker) -> Path:
    """Accepts both sides, merges one, and checks out the merge of the other; returns the worktree."""
    lay_base(worker.project)
    for epic, side in (("theirs", theirs), ("api", ours)):
        side(await worker.ready(attempt(epic)))
        await worker.commit(attempt(epic))
    await worker.merge("heddle/r1/epics/theirs", TARGET, "main")
    assert (await worker.merge("heddle/r1/epics/api", TARGET)).HasField("conflict")
    return Path((await worker.ensure(attempt(task="resolve"), merge=TARGET)).worktree.path)


async def test_nothing_done_is_nothing_decided(worker: Worker) -> None:
    """If an agent does nothing, no conflict is resolved; each open path is named, and explained in the worktree."""
    path = await laid_out(worker)
    note = (path / ".heddle" / "conflicts.txt").read_text()
    error = await refused(worker.commit(attempt(task="resolve")))
    assert error.reason == pb.ERROR_REASON_CONFLICT_UNDECIDED
    for name in (
        "gone",
        "moved-here",
        "moved-there",
        "renamed-here",
        "new/three",
        "binary",
        "link",
        "folder~",
    ):
        assert name in error.message
        assert name in note


Change = Callable[[Path], object]

# How each conflict is resolved.
CHANGES: dict[str, Change] = {
    "gone": lambda path: (path / "gone").unlink(),
    "moved": lambda path: (path / "moved-there").unlink(),
    "renamed": lambda path: (path / "renamed-here").unlink(),
    "new": lambda path: (path / "new" / "three").rename(path / "three"),
    "binary": lambda path: (path / "binary").write_bytes(b"\0both"),
    "link": lambda path: (path / "link").unlink(),
    "folder~": lambda path: [each.rename(path / "a-file") for each in path.glob("folder~*")],
}


async def test_changed_or_listed_paths_are_resolved(worker: Worker) -> None:
    """Changing a file or listing it in .heddle/keep resolves its conflict, except for generated names."""
    path = await laid_out(worker)
    for name in ("gone", "moved", "new", "folder~"):
        CHANGES[name](path)
    error = await refused(worker.commit(attempt(task="resolve")))
    for name in ("gone", "moved-here", "new/three", "folder~"):
        assert name not in error.message.partition(":")[0]
    keep = path / ".heddle" / "keep"
    keep.write_text("./renamed-here\nbinary\nlink\nfolder/file\n")
    done = await worker.commit(attempt(task="resolve"))
    assert len(worker.git("log", "-1", "--format=%P", done.commit).split()) == 2
    listed = worker.git("ls-tree", "-r", "--name-only", done.commit).splitlines()
    assert {"a-file", "three", "renamed-here", "binary", "link", "folder/file"} <= set(listed)
    assert not {"gone", "moved-there", ".heddle/keep", ".heddle/conflicts.txt"} & set(listed)
    merged = await worker.merge("heddle/r1/epics/api", TARGET)
    assert merged.HasField("merged")


async def test_a_made_up_name_is_never_kept(worker: Worker) -> None:
    """A file NAME~COMMIT is not accepted, even if the agent lists it."""
    path = await laid_out(worker)
    for name, change in CHANGES.items():
        if name != "folder~":
            change(path)
    (left,) = path.glob("folder~*")
    (path / ".heddle" / "keep").write_text(f"{left.name}\nfolder/file\n")
    error = await refused(worker.commit(attempt(task="resolve")))
    assert error.message.startswith(f"the conflict in {left.name} was not resolved:")


@pytest.mark.parametrize("how", ["link", "folder link", "folder"])
async def test_a_keep_list_that_is_not_a_file_lists_nothing(worker: Worker, tmp_path: Path, how: str) -> None:
    """The agent's .heddle/keep is read only if it is a plain file in a plain folder."""
    path = await laid_out(worker)
    for name, change in CHANGES.items():
        if name != "binary":
            change(path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep").write_text("binary\n")
    keep = path / ".heddle" / "keep"
    match how:
        case "link":
            keep.symlink_to(elsewhere / "keep")
        case "folder":
            keep.mkdir()
        case "folder link":
            shutil.rmtree(keep.parent)
            keep.parent.symlink_to(elsewhere)
    (path / "folder" / "file").write_text("both\n")
    error = await refused(worker.commit(attempt(task="resolve")))
    assert error.message.startswith("the conflict in binary was not resolved:")
