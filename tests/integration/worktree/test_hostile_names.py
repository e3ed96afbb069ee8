"""Hostile names, refs, objects and filters affect only the agent's own work, and processes end."""

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest

from heddle import pb
from tests.support import worktrees
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt, fingerprint, refused
from worktree_svc.git.process import command as service_git


@pytest.mark.parametrize("ref", ["refs/heads/heddle/r1/epics/api", "refs/heddle/accepted/r1/api"])
async def test_a_symbolic_ref_does_not_move_its_target(worker: Worker, ref: str) -> None:
    """If an agent made an epic's branch a symbolic ref to the user's main, the branch moves and main does not."""
    path = await worker.ready(attempt())
    before = fingerprint(worker.project)
    git(path, "symbolic-ref", ref, "refs/heads/main")
    (path / "a.txt").write_text("a\n")
    done = await worker.commit(attempt())
    assert worker.git("rev-parse", ref) == done.commit
    assert fingerprint(worker.project) == before


async def test_a_replaced_object_does_not_change_history(worker: Worker) -> None:
    """refs/replace/ makes git show another commit in place of the real one, but not to the service."""
    path = await worker.ready(attempt())
    main = worker.git("rev-parse", "main")
    empty = worker.git("hash-object", "-t", "tree", "-w", "/dev/null")
    fake = worker.git("commit-tree", "-m", "Nothing was ever here", empty)
    worker.git("replace", main, fake)
    (path / "a.txt").write_text("a\n")
    done = await worker.commit(attempt())
    assert done.diff_stat.files == 1
    await worker.merge("heddle/r1/epics/api", "heddle/r1/merged", main)
    worker.git("replace", "--delete", main)
    merged = worker.git("diff", "--name-status", "main", "heddle/r1/merged")
    assert merged == "A\ta.txt"


async def test_names_that_look_like_options_are_names(worker: Worker) -> None:
    """Names of files, branches and revisions that begin with a dash or contain shell syntax are only names."""
    odd = [
        "--upload-pack=x",
        "-rf",
        "--",
        "--output=x",
        "$(touch x)",
        "`touch x`",
        "a;b",
        "\\",
        "-",
        "'\"'",
        "?*[",
    ]
    path = await worker.ready(attempt())
    for name in odd:
        (path / name).write_text(f"{name}\n")
    worker.git("update-ref", "refs/heads/--output=x", "main")
    done = await worker.commit(attempt())
    names = worker.git("ls-tree", "-z", "--name-only", done.commit).split("\0")
    assert set(odd) <= set(names)
    for revision in ("--output=y", "-p", "--all", "--upload-pack=x", "@{-1}", "main..side"):
        request = pb.DiffRevisionsRequest(
            project=str(worker.project), from_revision=revision, to_revision=done.commit, from_merge_base=True
        )
        with pytest.raises(grpc.RpcError, match="is not a branch, tag or commit"):
            assert [piece async for piece in worker.stub.DiffRevisions(request)]
    for name in ("--output=y", "-b", "--detach"):
        await refused(worker.merge(name, "heddle/r1/merged", "main"))
        await refused(worker.merge("heddle/r1/epics/api", name, "main"))
        await refused(worker.inspect(base=f"{name}x"))
    request = pb.DiffRevisionsRequest(
        project=str(worker.project), from_revision="--output=x", to_revision=done.commit
    )
    assert [piece async for piece in worker.stub.DiffRevisions(request)]
    await worker.ready(attempt(task="two"))
    assert not [found for found in worker.project.parent.rglob("x") if found.is_file()]


@pytest.mark.parametrize("name", ["git~1", ".GIT", ".git ", ".git.", ".gitmodules", "README.md", "deep"])
async def test_names_that_git_refuses_do_not_block_the_work(worker: Worker, name: str) -> None:
    """With names that git refuses, pipes and very deep folders, the rest is committed; cleaning works."""
    path = await worker.ready(attempt())
    target = path / name
    if name == "deep":
        target = target.joinpath(*["d" * 60] * 40)
        target.mkdir(parents=True)
        (target / "bottom.txt").write_text("here\n")
    elif name == "README.md":
        target.unlink()
        os.mkfifo(target)
    elif name == ".gitmodules":
        target.symlink_to("/etc/hostname")
    else:
        target.write_text("odd\n")
    (path / "a.txt").write_text("a\n")
    done = await worker.commit(attempt())
    assert worker.git("show", f"{done.commit}:a.txt") == "a"
    os.mkfifo(path / "pipe")
    await worker.ready(attempt(task="two"))
    await worker.discard(attempt(task="two"))
    await worker.remove("runs/r1/epics/api")
    assert not path.exists()


async def test_a_huge_tree_of_odd_names(worker: Worker) -> None:
    """Five thousand files, whose names are not UTF-8 or contain newlines, are committed and cleaned away."""
    path = await worker.ready(attempt())
    for number in range(5000):
        folder = os.fsencode(path) + b"/\xff%d" % (number % 50)
        Path(os.fsdecode(folder)).mkdir(exist_ok=True)
        Path(os.fsdecode(folder + b"/\n-\xfe %d" % number)).write_text(str(number))
    done = await worker.commit(attempt())
    assert done.diff_stat.files == 5000
    await worker.remove("runs/r1/epics/api")
    assert not path.exists()


async def test_objects_of_another_repository_do_not_become_part_of_the_work(
    worker: Worker, tmp_path: Path
) -> None:
    """If the agent set alternates and then removed them, the accepted commits are still complete."""
    path = await worker.ready(attempt())
    elsewhere = make_repository(tmp_path / "elsewhere", {"a.txt": "shared with elsewhere\n"})
    alternates = worker.project / ".git" / "objects" / "info" / "alternates"
    alternates.write_text(f"{elsewhere / '.git' / 'objects'}\n")
    (path / "a.txt").write_text("shared with elsewhere\n")
    done = await worker.commit(attempt())
    alternates.unlink()
    assert worker.git("show", f"{done.commit}:a.txt") == "shared with elsewhere"


@pytest.fixture
async def filtering(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """A worker whose user has configured filters: "upper" changes to upper case, "stuck" never ends."""
    config = tmp_path / "gitconfig"
    git(tmp_path, "config", "--file", str(config), "filter.upper.clean", "tr a-z A-Z")
    git(
        tmp_path,
        "config",
        "--file",
        str(config),
        "filter.stuck.clean",
        f"echo $$ > {tmp_path}/pid; sleep 600",
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    async with worktrees.worker(tmp_path / "home", project) as ready:
        yield ready


async def test_filters_that_the_user_trusts_do_run(filtering: Worker) -> None:
    """Filters of the user's own git configuration, such as git-lfs, work in worktrees too."""
    path = await filtering.ready(attempt())
    (path / ".gitattributes").write_text("*.txt filter=upper\n")
    (path / "a.txt").write_text("loud\n")
    done = await filtering.commit(attempt())
    assert filtering.git("show", f"{done.commit}:a.txt") == "LOUD"


async def test_a_filter_that_never_ends_is_ended(
    filtering: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git process that takes too long is ended with its children; the error says so; the epic continues."""
    path = await filtering.ready(attempt())
    (path / ".gitattributes").write_text("*.txt filter=stuck\n")
    (path / "a.txt").write_text("a\n")
    with monkeypatch.context() as patch:
        patch.setattr(service_git, "LONGEST_SECONDS", 5.0)
        error = await refused(filtering.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_GIT_FAILED
    assert "took longer than 5 s" in error.message
    pid = int((tmp_path / "pid").read_text())
    # It received SIGKILL; init may take a moment to reap it.
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=60)
    (path / ".gitattributes").unlink()
    assert (await filtering.commit(attempt())).diff_stat.files == 1
