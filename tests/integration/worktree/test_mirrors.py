"""Projects by URL: a mirror that all runs share, fetched before each, pushed to after each step."""

import asyncio
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heddle import pb
from heddle.names import AttemptName
from tests.support import worktrees
from tests.support.ports import free_ports
from tests.support.repositories import fast_import, git
from tests.support.worktrees import Worker, attempt, refused
from worktree_svc.projects import mirrors

EPIC = "heddle/r1/epics/api"
MERGED = "heddle/r1/merged"


@pytest.fixture
async def worker(tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(mirrors, "PAUSES", (0.0,))
    async with worktrees.worker(tmp_path / "home", remote) as ready:
        yield replace(ready, url=f"file://{remote}")


@pytest.fixture
def served(remote: Path) -> Iterator[str]:
    """The URL of a remote that is served by git daemon on loopback."""
    (port,) = free_ports(1)
    command = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--reuseaddr"]
    with subprocess.Popen([*command, "--enable=receive-pack", f"--base-path={remote.parent}"]) as daemon:
        url = f"git://127.0.0.1:{port}/app.git"
        while subprocess.run(["git", "ls-remote", url], capture_output=True, check=False).returncode:
            assert daemon.poll() is None
        yield url
        daemon.terminate()


async def test_a_run_on_a_url(worker: Worker, remote: Path, served: str) -> None:
    """The mirror has only blobs that were needed; accepted work and merges are pushed, and nothing else."""
    worker = replace(worker, url=served)
    found = await worker.inspect(served, into="trunk")
    assert found.project == served
    assert found.base_commit == git(remote, "rev-parse", "trunk")
    (mirror,) = (worker.home / "mirrors").iterdir()
    missing = git(mirror, "rev-list", "--objects", "--all", "--missing=print").count("?")
    assert missing == 3
    path = await worker.ready(attempt(), base=found.base_commit)
    assert (path / "README.md").read_text() == "# Sample\n"
    (path / "b.txt").write_text("b\n")
    commit = await worker.commit(attempt())
    assert (commit.push_error, git(remote, "rev-parse", EPIC)) == ("", commit.commit)
    await worker.merge(EPIC, "heddle/r1/merged", found.base_commit)
    merged = (await worker.merge("heddle/r1/merged", "trunk")).merged
    assert (merged.push_error, git(remote, "rev-parse", "trunk")) == ("", merged.commit)
    names = git(remote, "for-each-ref", "--format=%(refname:short)").splitlines()
    assert sorted(names) == [EPIC, MERGED, "trunk"]
    await worker.remove("runs/r1/epics/api")


async def test_each_run_starts_from_the_current_state_of_the_remote(worker: Worker, remote: Path) -> None:
    """The remote is fetched before a run; two spellings of its URL are one mirror and one project."""
    first = await worker.inspect(worker.url)
    fast_import(remote, "trunk", {"README.md": "# Newer\n"}, "trunk")
    fast_import(remote, "other", {"other.txt": "other\n"}, "trunk")
    second = await worker.inspect(worker.url.removesuffix(".git") + ".git/", base="other")
    assert second.project == first.project == worker.url
    assert second.base_commit == git(remote, "rev-parse", "other")
    assert (
        (await worker.inspect(worker.url)).base_commit
        == git(remote, "rev-parse", "trunk")
        != first.base_commit
    )
    assert len(list((worker.home / "mirrors").iterdir())) == 1


async def test_a_push_that_fails_loses_nothing(worker: Worker, remote: Path) -> None:
    """While the remote is unreachable, tasks are accepted with a push error; the next push includes all of them."""
    base = (await worker.inspect(worker.url)).base_commit
    path = await worker.ready(attempt(), base=base)
    (path / "b.txt").write_text("b\n")
    away = remote.rename(remote.with_name("away"))
    first = await worker.commit(attempt())
    assert first.commit
    assert "does not appear to be a git repository" in first.push_error
    away.rename(remote)
    path = await worker.ready(attempt(task="two"))
    (path / "c.txt").write_text("c\n")
    second = await worker.commit(attempt(task="two"))
    assert not second.push_error
    assert git(remote, "log", "--format=%H", f"{base}..{EPIC}").splitlines() == [second.commit, first.commit]


@pytest.mark.parametrize("tested", [False, True])
async def test_a_merge_counts_once_it_is_at_the_remote(worker: Worker, remote: Path, tested: bool) -> None:
    """While the remote is unreachable, a merge is not reported as done: this disk could be lost. The same call then pushes it."""
    base = (await worker.inspect(worker.url)).base_commit
    path = await worker.ready(attempt(), base=base)
    (path / "b.txt").write_text("b\n")
    await worker.commit(attempt())
    opened = pb.OpenMergeResponse()
    if tested:
        source = pb.MergeSource(branch=EPIC, resource="runs/r1/epics/api")
        asked = pb.OpenMergeRequest(sources=[source], create_target_at=base, **_merged_run(worker))
        opened = await worker.stub.OpenMerge(asked)

    async def merge() -> str:
        if not tested:
            return (await worker.merge(EPIC, MERGED, create_at=base)).merged.commit
        closing = pb.CloseMergeRequest(commit=opened.commit, apply=True, **_merged_run(worker))
        assert (await worker.stub.CloseMerge(closing)).moved
        return opened.commit

    away = remote.rename(remote.with_name("away"))
    error = await refused(merge())
    assert error.reason == pb.ERROR_REASON_PROJECT_UNAVAILABLE
    assert "does not appear to be a git repository" in error.message
    away.rename(remote)
    assert await merge() == git(remote, "rev-parse", MERGED)


def _merged_run(worker: Worker) -> dict[str, Any]:
    return {"project": worker.name, "epoch": 1, "run": "runs/r1", "target_branch": MERGED}


async def test_a_target_that_moved_at_the_remote(worker: Worker, remote: Path) -> None:
    """Commits that others pushed meanwhile stay: the merge is made on top of them, and nothing is force-pushed."""
    base = (await worker.inspect(worker.url, into="trunk")).base_commit
    path = await worker.ready(attempt(), base=base)
    (path / "b.txt").write_text("b\n")
    await worker.commit(attempt())
    fast_import(remote, "trunk", {"theirs.txt": "theirs\n"}, "trunk")
    theirs = git(remote, "rev-parse", "trunk")
    merged = (await worker.merge(EPIC, "trunk")).merged
    assert git(remote, "rev-parse", "trunk") == merged.commit
    assert git(remote, "merge-base", "trunk", theirs) == theirs
    assert set(git(remote, "ls-tree", "--name-only", "trunk").split()) >= {"b.txt", "theirs.txt"}


async def test_a_clone_that_fails_is_an_error(worker: Worker, remote: Path) -> None:
    """Errors for a missing or empty remote or a wrong password say what to do, without the password."""
    error = await refused(worker.inspect(f"file://{remote}-missing"))
    assert error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY
    assert "git ls-remote" in error.message
    git(remote, "update-ref", "-d", "refs/heads/trunk")
    empty = await refused(worker.inspect(worker.url))
    assert empty.reason == pb.ERROR_REASON_EMPTY_REPOSITORY
    assert f"git clone {worker.url}" in empty.message
    error = await refused(worker.inspect("https://me:s3cret@127.0.0.1/app"))
    assert error.reason == pb.ERROR_REASON_INVALID_FIELD
    assert "s3cret" not in error.message


async def test_two_runs_begin_at_once(worker: Worker) -> None:
    """The first clone is made only once, even if several calls need it at the same time."""
    found = await asyncio.gather(*(worker.inspect(worker.url) for _ in range(6)))
    assert len({each.base_commit for each in found}) == 1


async def test_only_a_rewound_epic_is_force_pushed(worker: Worker, remote: Path) -> None:
    """A rewound epic is rewound at the remote too; a commit that someone else pushed onto its branch stays."""
    start = (await worker.inspect(worker.url)).base_commit
    one = await _accept(worker, attempt(), base=start)
    two = await _accept(worker, attempt(number=2), base=start, rewind_to=f"{one.commit}^")
    assert (two.push_error, git(remote, "rev-parse", EPIC)) == ("", two.commit)
    fast_import(remote, EPIC, {"theirs.txt": "theirs\n"}, EPIC)
    theirs = git(remote, "rev-parse", EPIC)
    three = await _accept(worker, attempt(number=3), base=start, rewind_to=f"{two.commit}^")
    assert "non-fast-forward" in three.push_error
    assert git(remote, "rev-parse", EPIC) == theirs
    await worker.remove("runs/r1/epics/api")


async def _accept(worker: Worker, name: AttemptName, base: str, rewind_to: str = "") -> pb.CommitTaskResponse:
    ensured = await worker.ensure(name, base, rewind_to=rewind_to)
    Path(ensured.worktree.path, "number.txt").write_text(f"{name.number}\n")
    return await worker.commit(name)


async def test_a_branch_called_heddle_at_the_remote(worker: Worker, remote: Path) -> None:
    """A remote branch heddle would block every push, so the run is refused with a command that renames it there."""
    git(remote, "branch", "heddle", "trunk")
    error = await refused(worker.inspect(worker.url))
    assert error.reason == pb.ERROR_REASON_BRANCH_EXISTS
    command = error.message.partition("in a clone of it: ")[2]
    clone = remote.with_name("clone")
    git(remote.parent, "clone", "--quiet", str(remote), str(clone))
    git(clone, *shlex.split(command)[1:])
    await worker.inspect(worker.url)
    assert "another-name" in git(remote, "branch", "--format=%(refname:short)").split()


async def test_refusals_of_the_remote_are_reported_by_branch(worker: Worker, remote: Path) -> None:
    """If a hook refuses one of two branches, only that one is reported; once allowed, it can be pushed."""
    base = (await worker.inspect(worker.url, into="trunk")).base_commit
    hook = remote / "hooks" / "update"
    hook.write_text(
        "#!/bin/sh\ncase $1 in refs/heads/heddle/*) echo 'names begin with team/' >&2; exit 1;; esac\n"
    )
    hook.chmod(0o755)
    path = await worker.ready(attempt(), base=base)
    (path / "b.txt").write_text("b\n")
    assert "names begin with team/" in (await worker.commit(attempt())).push_error
    merged = (await worker.merge(EPIC, "trunk")).merged
    assert not merged.push_error
    assert "hook declined" in merged.source_push_error
    hook.unlink()
    asked = pb.PushBranchesRequest(project=worker.url, branches=[EPIC, "not/there"])
    assert not (await worker.stub.PushBranches(asked)).errors
    assert git(remote, "rev-parse", EPIC) == git(remote, "rev-parse", "trunk^2")


async def test_a_second_push_is_about_the_branches_that_it_names(worker: Worker, remote: Path) -> None:
    """A push again sends a branch as it is then, none that it does not name, and moves none that its remote moved on."""
    base = (await worker.inspect(worker.url, into="trunk")).base_commit
    refs = {}
    for epic in ("api", "ui"):
        path = await worker.ready(attempt(epic), base=base)
        (path / f"{epic}.txt").write_text(f"{epic}\n")
        refs[epic] = (await worker.commit(attempt(epic))).commit
    api, ui = (f"heddle/r1/epics/{epic}" for epic in refs)

    async def push(*branches: str) -> dict[str, str]:
        asked = pb.PushBranchesRequest(project=worker.url, branches=branches)
        return dict((await worker.stub.PushBranches(asked)).errors)

    git(remote, "update-ref", "-d", f"refs/heads/{api}")
    git(remote, "update-ref", "-d", f"refs/heads/{ui}")
    assert await push(api) == {}
    assert not git(remote, "branch", "--list", ui)
    assert await push(ui) == {}
    assert [git(remote, "rev-parse", each) for each in (api, ui)] == [*refs.values()]
    # Someone adds a commit to one of them at the remote.
    moved = git(remote, "commit-tree", f"{api}^{{tree}}", "-p", api, "-m", "Theirs")
    git(remote, "update-ref", f"refs/heads/{api}", moved)
    assert set(await push(api, ui)) == {api}
    assert git(remote, "rev-parse", api) == moved
    assert await push(ui) == {}
