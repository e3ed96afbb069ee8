"""An agent cannot put an object into the repository whose content does not match its name, with or without a sandbox."""

import hashlib
import os
import zlib
from pathlib import Path

import pytest

from heddle import pb
from heddle.files.worktree_paths import view_of
from tests.support.repositories import git, git_fails
from tests.support.worktrees import Worker, attempt, refused

KEPT = "refs/heddle/attempts/r1/api/one/1"
FORGED = b"#!/bin/sh\necho forged\n"


def forge(path: Path, name: str, content: bytes = FORGED) -> Path:
    """Stores other content under the name of a blob in a worktree's own objects, as an agent can."""
    objects = Path(git(path, "rev-parse", "--path-format=absolute", "--git-path", "objects"))
    assert objects == view_of(path) / "objects"
    file = objects / name[:2] / name[2:]
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_bytes(zlib.compress(b"blob %d\0" % len(content) + content))
    assert git(path, "cat-file", "blob", name).encode() + b"\n" == content
    return file


def is_stored(worker: Worker, content: bytes) -> bool:
    name = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return name in worker.git("cat-file", "--batch-check=%(objectname)", "--batch-all-objects").split()


async def test_an_existing_object_keeps_its_content(worker: Worker, tmp_path: Path) -> None:
    """Content that an agent stores under the name of an accepted file reaches no other worktree and no clone."""
    path = await worker.ready(attempt())
    name = git(path, "rev-parse", "HEAD:README.md")
    forge(path, name)
    (path / "a.txt").write_text("a\n")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=Own")
    done = await worker.commit(attempt())
    assert worker.git("show", f"{done.commit}:README.md") == "# Sample"
    victim = await worker.ready(attempt("victim"), base=done.commit)
    assert (victim / "README.md").read_text() == "# Sample\n"
    assert git(victim, "cat-file", "blob", name) == "# Sample"
    following = await worker.ready(attempt(task="two"))
    assert git(following, "cat-file", "blob", name) == "# Sample"
    git(tmp_path, "clone", "--quiet", str(worker.project), "clone")
    assert (tmp_path / "clone" / "README.md").read_text() == "# Sample\n"
    assert worker.git("fsck", "--full", "--strict", "--no-dangling") == ""
    assert not is_stored(worker, FORGED)


@pytest.mark.parametrize("count", [1, 150])
async def test_a_forged_commit_is_refused(worker: Worker, count: int) -> None:
    """A commit with an object that is not what its name says is not brought in; the attempt's files are kept."""
    path = await worker.ready(attempt())
    for number in range(count):
        (path / f"{number}.txt").write_text(f"{number}\n")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=Own")
    own = git(path, "rev-parse", "HEAD")
    forge(path, git(path, "rev-parse", "HEAD:0.txt"))
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_WORKTREE_DAMAGED
    assert own in error.message
    git_fails(worker.project, "cat-file", "-e", own)
    assert (await worker.discard(attempt())).kept_ref == KEPT
    # What the agent sees in the file, not what it stored under the blob's name.
    assert worker.git("show", f"{KEPT}:0.txt") == "0"
    assert worker.git("fsck", "--full", "--strict", "--no-dangling") == ""
    assert not is_stored(worker, FORGED)
    path = await worker.ready(attempt(number=2))
    assert git(path, "log", "--format=%s") == git(worker.project, "log", "--format=%s", "main")


@pytest.mark.parametrize("count", [1, 150])
async def test_commits_are_brought_in_complete(worker: Worker, count: int) -> None:
    """An agent's honest commits, in loose objects or in a pack, are kept with their history and pass fsck."""
    path = await worker.ready(attempt())
    for number in range(count):
        (path / f"{number}.txt").write_text(f"{number}\n")
        git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=Own")
    own = git(path, "rev-parse", "HEAD")
    git(path, "pack-objects", "--quiet", "--all", "--local", str(view_of(path) / "objects/pack/pack"))
    git(path, "prune-packed")
    git_fails(worker.project, "cat-file", "-e", own)
    await worker.discard(attempt())
    assert worker.git("merge-base", "--is-ancestor", own, KEPT) == ""
    assert worker.git("fsck", "--full", "--strict", "--no-dangling") == ""
    assert not [
        each for each in (worker.project / ".git/objects").iterdir() if each.name.startswith("tmp_objdir")
    ]


@pytest.mark.parametrize("how", ["pipe", "link", "alternates", "link to objects"])
async def test_an_object_folder_may_contain_anything(worker: Worker, how: str, tmp_path: Path) -> None:
    """Pipes, links and other repositories in an agent's object folder are neither waited for nor read."""
    path = await worker.ready(attempt())
    secret = tmp_path / "secret"
    git(tmp_path, "init", "--quiet", "secret")
    (secret / "s.txt").write_text("secret\n")
    git(secret, "add", ".")
    git(secret, "commit", "--quiet", "--message=Secret")
    theirs = git(secret, "rev-parse", "HEAD")
    (path / "a.txt").write_text("a\n")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=Own")
    objects, name = view_of(path) / "objects", git(path, "rev-parse", "HEAD:a.txt")
    file = objects / name[:2] / name[2:]
    if how in {"pipe", "link"}:
        file.rename(tmp_path / "moved")
    if how == "pipe":
        os.mkfifo(file)
    if how == "link":
        file.symlink_to(tmp_path / "moved")
    borrowed = f"{worker.project}/.git/objects\n{secret}/.git/objects\n"
    if how == "alternates":
        (objects / "info" / "alternates").write_text(borrowed)
        git(path, "reset", "--quiet", "--soft", theirs)
    if how == "link to objects":
        objects.rename(tmp_path / "own")
        objects.symlink_to(secret / ".git" / "objects")
        git(path, "update-ref", "--no-deref", "HEAD", theirs)
    assert (await refused(worker.commit(attempt()))).reason == pb.ERROR_REASON_WORKTREE_DAMAGED
    if how == "alternates":
        (objects / "info" / "alternates").write_text(borrowed)
    await worker.discard(attempt())
    assert worker.git("show", f"{KEPT}:a.txt") == "a"
    git_fails(worker.project, "cat-file", "-e", theirs)
    assert (tmp_path / "secret" / ".git" / "objects").is_dir()
