"""Pipes, sockets and devices in a worktree never make git wait."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.files.worktree_paths import git_folder_of, view_of
from tests.support.worktrees import Worker, attempt, refused
from worktree_svc.git.process import command as service_git
from worktree_svc.projects.locks import KeyedExecutor

KEPT = "refs/heddle/attempts/r1/api/one/1"


def _at_the_top(worktree: Path) -> str:
    os.mkfifo(worktree / ".gitattributes")
    return ".gitattributes: it is a pipe"


def _in_a_folder(worktree: Path) -> str:
    (worktree / "d").mkdir()
    (worktree / "d" / "x").write_text("x\n")
    os.mkfifo(worktree / "d" / ".gitignore")
    return "d/.gitignore: it is a pipe"


def _socket(worktree: Path) -> str:
    # The path of a socket may not be long.
    with closing(socket.socket(socket.AF_UNIX)) as opened, pytest.MonkeyPatch.context() as patch:
        patch.chdir(worktree)
        opened.bind(".mailmap")
    return ".mailmap: it is a socket"


def _repository(worktree: Path, folder: str) -> Path:
    for name in ("objects", "refs"):
        (worktree / folder / name).mkdir(parents=True)
    return worktree / folder


def _in_a_repository(worktree: Path) -> str:
    os.mkfifo(_repository(worktree, "n/.git") / "HEAD")
    (worktree / "n" / "x").write_text("x\n")
    return "n/.git/HEAD: it is a pipe"


def _link_in_a_repository(worktree: Path) -> str:
    os.mkfifo(worktree / "pipe")
    repository = _repository(worktree, "n/.git")
    (repository / "HEAD").write_text("ref: refs/heads/main\n")
    (repository / "commondir").symlink_to(worktree / "pipe")
    return "n/.git/commondir: it is a pipe"


def _in_a_named_repository(worktree: Path) -> str:
    os.mkfifo(_repository(worktree, "q") / "HEAD")
    (worktree / "n").mkdir()
    (worktree / "n" / ".git").write_text("gitdir: ../q\n")
    return "q/HEAD: it is a pipe"


PLANTS = [
    _at_the_top,
    _in_a_folder,
    _socket,
    _in_a_repository,
    _link_in_a_repository,
    _in_a_named_repository,
]


@pytest.fixture(autouse=True)
def _short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test fail soon if git waits."""
    monkeypatch.setattr(service_git, "LONGEST_SECONDS", 20.0)


@pytest.mark.parametrize("plant", PLANTS)
async def test_a_special_file_that_git_would_open_refuses_the_commit(
    worker: Worker, plant: Callable[[Path], str]
) -> None:
    """The commit is refused with the file's path; the attempt's work is kept without it, and the epic continues."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    told = plant(path)
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_UNCOMMITTABLE_FILES
    assert f"{told}, and git reads files of this name. Change or remove them" in error.message
    await worker.discard(attempt())
    assert worker.git("show", f"{KEPT}:a.txt") == "a"
    await worker.ready(attempt(number=2))
    assert not (path / "a.txt").exists()
    await worker.commit(attempt(number=2))
    await worker.remove("runs/r1/epics/api")
    assert not path.exists()


@pytest.mark.parametrize("plant", PLANTS)
async def test_a_special_file_does_not_block_the_list(worker: Worker, plant: Callable[[Path], str]) -> None:
    """While such a file exists, the list of worktrees does not say whether the worktree is dirty."""
    path = await worker.ready(attempt())
    plant(path)
    request = pb.ListWorktreesRequest(look=True)
    (listed,) = (await worker.stub.ListWorktrees(request)).worktrees
    assert not listed.HasField("dirty")


async def test_a_pipe_in_place_of_a_branch_does_not_block_the_epic(worker: Worker) -> None:
    """A pipe in place of the epic's branch, where an agent without a sandbox can write, is removed."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    branch = worker.project / ".git" / "refs" / "heads" / "heddle" / "r1" / "epics" / "api"
    branch.unlink()
    os.mkfifo(branch)
    done = await worker.commit(attempt())
    assert worker.git("rev-parse", "heddle/r1/epics/api") == done.commit


async def test_pipes_in_the_repository_of_a_worktree_block_nothing(worker: Worker) -> None:
    """Pipes in place of the agent's refs, objects, logs and index are read by no one, and removed before the commit."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    view, own = view_of(path), git_folder_of(path)
    branch = view / "refs" / "heads" / "heddle" / "r1" / "epics" / "api"
    found = view / "objects" / "ab" / ("0" * 38)
    pipes = [branch, found, view / "packed-refs.lock", view / "logs" / branch.relative_to(view)]
    pipes += [own / "MERGE_HEAD", own / "logs" / "HEAD", own / "index"]
    for pipe in pipes:
        pipe.parent.mkdir(parents=True, exist_ok=True)
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
    (listed,) = (await worker.stub.ListWorktrees(pb.ListWorktreesRequest(look=True))).worktrees
    assert listed.dirty
    done = await worker.commit(attempt())
    assert worker.git("rev-parse", "heddle/r1/epics/api") == done.commit
    assert not any(pipe.is_fifo() for pipe in pipes)


def _waits(folder: Path) -> Callable[[], object]:
    """Returns a job whose git waits for the other end of a pipe."""
    os.mkfifo(folder / "pipe")
    return lambda: service_git.Git(folder).run("hash-object", "--no-filters", "pipe", seconds=60)


async def _begins(folder: Path) -> None:
    """Waits until a git process has opened the pipe, and then keeps it waiting for content."""
    descriptor = await asyncio.wait_for(asyncio.to_thread(os.open, folder / "pipe", os.O_WRONLY), 30)
    asyncio.get_running_loop().call_later(60, os.close, descriptor)


async def test_git_is_ended_after_its_caller_has_gone(tmp_path: Path) -> None:
    """If a call is cancelled, a git command on files that does not end is ended, and the key is free again."""
    executor = KeyedExecutor(abandoned=0.1)
    caller = asyncio.ensure_future(executor.run(_waits(tmp_path), key="epic", ends_with_caller=True))
    await _begins(tmp_path)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await asyncio.wait_for(executor.run(lambda: "done", key="epic"), 30) == "done"
    await executor.drain()


async def test_a_drain_ends_git(tmp_path: Path) -> None:
    """A drain ends git commands that do not end by themselves; their callers get DRAINING."""
    executor = KeyedExecutor(drain=0.1)
    caller = asyncio.ensure_future(executor.run(_waits(tmp_path)))
    await _begins(tmp_path)
    await asyncio.wait_for(executor.drain(), 30)
    with pytest.raises(HeddleError) as raised:
        await caller
    assert raised.value.reason == pb.ERROR_REASON_DRAINING
