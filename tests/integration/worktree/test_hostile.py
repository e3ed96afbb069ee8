"""Hostile repositories: an agent's files never run code in the service or lead it outside the worktree."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from heddle import pb
from heddle.errors import from_rpc
from heddle.files.worktree_paths import git_folder_of
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt, fingerprint, refused

SECRET = "the content of a file that no agent may read"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that exists once `canary` has run."""
    return tmp_path / "trace"


@pytest.fixture
def canary(tmp_path: Path, trace: Path) -> str:
    """A program that must never run; it would work as a filter or a driver."""
    program = tmp_path / "canary"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {trace}\ncat\n')
    program.chmod(0o755)
    return str(program)


async def inspect(worker: Worker) -> None:
    """Inspects the project for a new run, which is refused if the attack configured a filter for its files."""
    try:
        await worker.inspect()
    except grpc.RpcError as raised:
        error = from_rpc(raised)
        assert error is not None
        assert error.reason == pb.ERROR_REASON_FILTER_NOT_ALLOWED


async def do_everything(worker: Worker, attack: Callable[[Path], object]) -> None:
    """Makes every kind of call after the attack in the first worktree."""
    path = await worker.ready(attempt("api", "one"))
    attack(path)
    (path / "README.md").write_text("first\n# Sample\n")
    await inspect(worker)
    await worker.commit(attempt("api", "one"))
    await worker.ready(attempt("api", "two"))
    (path / "README.md").write_text("junk\n")
    await worker.discard(attempt("api", "two"))
    other = await worker.ready(attempt("ui", "one"))
    (other / "README.md").write_text("# Sample\nlast\n")
    await worker.commit(attempt("ui", "one"))
    for epic in ("api", "ui"):
        await worker.merge(f"heddle/r1/epics/{epic}", "heddle/r1/merged", "main")
    request = pb.DiffRevisionsRequest(
        project=str(worker.project), from_revision="main", to_revision="heddle/r1/epics/api"
    )
    assert [piece async for piece in worker.stub.DiffRevisions(request)]
    for epic in ("api", "ui"):
        await worker.remove(f"runs/r1/epics/{epic}")


DRIVERS = {
    "core.fsmonitor": "",
    "filter.evil.clean": "* filter=evil",
    "filter.evil.smudge": "* filter=evil",
    "filter.evil.process": "* filter=evil",
    "merge.evil.driver": "* merge=evil",
    "diff.evil.textconv": "* diff=evil",
    "diff.evil.command": "* diff=evil",
    "diff.external": "",
    "core.alternateRefsCommand": "",
    "core.editor": "",
    "core.pager": "",
    "core.sshCommand": "",
    "gpg.program": "",
    "uploadpack.packObjectsHook": "",
}


@pytest.mark.parametrize("where", ["project", "worktree", "include"])
@pytest.mark.parametrize("key", DRIVERS)
async def test_programs_of_the_repositorys_configuration_do_not_run(
    worker: Worker, key: str, where: str, canary: str, trace: Path
) -> None:
    """A program named in .git/config, a worktree's own configuration or an included file is never started."""
    command = f"sh {canary}" if key != "core.fsmonitor" else canary

    def attack(path: Path) -> None:
        if where == "include":
            included = path.parent / "included"
            git(path, "config", "--file", str(included), key, command)
            git(path, "config", "include.path", str(included))
        elif where == "worktree":
            git(path, "config", "extensions.worktreeConfig", "true")
            git(path, "config", "--worktree", key, command)
        else:
            git(path, "config", key, command)
        git(path, "config", "commit.gpgSign", "true")
        if DRIVERS[key]:
            (worker.project / ".git" / "info" / "attributes").write_text(f"{DRIVERS[key]}\n")
            (path / ".gitattributes").write_text(f"{DRIVERS[key]}\n")

    await do_everything(worker, attack)
    assert not trace.exists(), trace.read_text()


@pytest.mark.parametrize("how", ["folder", "hooksPath"])
async def test_hooks_do_not_run(worker: Worker, how: str, canary: str, trace: Path) -> None:
    """No hook runs, neither in .git/hooks nor in core.hooksPath."""
    names = ("post-checkout", "pre-commit", "commit-msg", "post-commit", "reference-transaction")
    more = ("post-index-change", "pre-merge-commit", "post-merge", "fsmonitor-watchman", "pre-auto-gc")

    def attack(path: Path) -> None:
        folder = worker.project / ".git" / "hooks" if how == "folder" else path / "hooks"
        folder.mkdir(exist_ok=True)
        for name in (*names, *more):
            (folder / name).symlink_to(canary)
        if how == "hooksPath":
            git(path, "config", "core.hooksPath", str(folder))

    await do_everything(worker, attack)
    assert not trace.exists(), trace.read_text()


async def test_the_file_monitor_of_a_repository_inside_does_not_run(
    worker: Worker, canary: str, trace: Path
) -> None:
    """Git inspects submodules with a child process that uses their configuration: that process is never started."""

    def attack(path: Path) -> None:
        inner = make_repository(path / "lib")
        git(inner, "config", "core.fsmonitor", canary)
        git(inner, "config", "filter.evil.clean", canary)
        (inner / ".git" / "info" / "attributes").write_text("* filter=evil\n")
        (inner / "README.md").write_text("dirty\n")
        git(path, "config", "--file", ".gitmodules", "submodule.lib.path", "lib")
        git(path, "config", "--file", ".gitmodules", "submodule.lib.url", "./lib")

    await do_everything(worker, attack)
    path = await worker.ready(attempt("api", "three"))
    make_repository(path / "inner")
    git(path / "inner", "config", "core.fsmonitor", canary)
    git(
        path,
        "update-index",
        "--add",
        "--cacheinfo",
        f"160000,{git(path / 'inner', 'rev-parse', 'HEAD')},inner",
    )
    (path / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ./inner\n')
    await worker.commit(attempt("api", "three"))
    (path / "inner" / "README.md").write_text("dirty\n")
    await worker.ready(attempt("api", "four"))
    (path / "inner" / "README.md").write_text("dirty again\n")
    await worker.commit(attempt("api", "four"))
    await worker.remove("runs/r1/epics/api")
    assert not trace.exists(), trace.read_text()


@pytest.mark.parametrize("url", ["ext::sh -c {canary}", "--upload-pack={canary}", "/nowhere", "-u"])
async def test_submodules_are_recorded_and_never_fetched(
    worker: Worker, url: str, canary: str, trace: Path
) -> None:
    """A submodule's URL and its update command in .gitmodules have no effect: nothing is cloned, updated or run."""

    def attack(path: Path) -> None:
        make_repository(path / "lib")
        for key, value in (("path", "lib"), ("url", url.format(canary=canary)), ("update", f"!{canary}")):
            git(path, "config", "--file", ".gitmodules", f"submodule.lib.{key}", value)
            git(path, "config", f"submodule.lib.{key}", value)
        git(path, "config", "submodule.recurse", "true")
        git(path, "config", "fetch.recurseSubmodules", "true")

    await do_everything(worker, attack)
    assert worker.git("ls-tree", "heddle/r1/merged", "lib").startswith("160000 commit")
    assert not trace.exists(), trace.read_text()


async def test_a_missing_object_is_not_fetched_by_a_program_of_the_agents(
    worker: Worker, canary: str, trace: Path
) -> None:
    """A missing promised object is an error; it is not fetched, which would run remote.*.uploadpack."""
    path = await worker.ready(attempt())
    for key, value in (
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", str(path)),
        ("remote.origin.uploadpack", canary),
    ):
        git(path, "config", key, value)
    missing = "1" * 40
    (git_folder_of(path) / "HEAD").write_text(f"{missing}\n")
    (worker.project / ".git" / "HEAD").write_text(f"{missing}\n")
    (path / "a.txt").write_text("a\n")
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_WORKTREE_DAMAGED
    await refused(worker.inspect())
    await worker.ready(attempt(number=2))
    assert worker.git("show", "refs/heddle/attempts/r1/api/one/1:a.txt") == "a"
    assert not trace.exists(), trace.read_text()


@pytest.mark.parametrize("kind", ["file", "folder", "attributes", "ignore", "modules"])
async def test_links_that_lead_outside_are_committed_as_links(
    worker: Worker, kind: str, tmp_path: Path
) -> None:
    """The target of a link is never read, committed, changed or removed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    before = sorted(outside.iterdir())
    name = {"attributes": ".gitattributes", "ignore": ".gitignore", "modules": ".gitmodules"}.get(kind, "way")

    def attack(path: Path) -> None:
        if kind == "folder":
            for each in (path / "src").iterdir():
                each.unlink()
            (path / "src").rmdir()
            (path / "src").symlink_to(outside)
            (path / "way").symlink_to(outside)
        else:
            (path / name).unlink(missing_ok=True)
            (path / name).symlink_to(outside / "secret.txt")
        (path / ".heddle").symlink_to(outside)

    await do_everything(worker, attack)
    for commit in worker.git("rev-list", "--all").splitlines():
        for entry in worker.git("ls-tree", "-r", commit).splitlines():
            assert SECRET not in worker.git("cat-file", "blob", entry.split()[2])
    if kind in {"file", "folder"}:
        assert worker.git("ls-tree", "heddle/r1/merged", "way").startswith("120000 blob")
    assert sorted(outside.iterdir()) == before
    assert (outside / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize("name", ["HEAD", "index", "HEAD.new", "index.new", "ORIG_HEAD"])
async def test_links_in_gits_own_folder_are_not_written_through(
    worker: Worker, name: str, tmp_path: Path
) -> None:
    """If a file of the worktree's git folder is a link, its target is not changed."""
    outside = tmp_path / "precious"
    outside.write_text(SECRET)
    path = await worker.ready(attempt())
    target = git_folder_of(path) / name
    for call in (worker.commit, worker.discard):
        target.unlink(missing_ok=True)
        target.symlink_to(outside)
        (path / "a.txt").write_text("a\n")
        await worker.ready(attempt())
        # Without a HEAD, a commit may be refused.
        with suppress(grpc.RpcError):
            await call(attempt())
        assert outside.read_text() == SECRET


@pytest.mark.parametrize("how", ["repository", "users-checkout", "link", "pipe"])
async def test_a_git_file_that_points_elsewhere_leads_nowhere(
    worker: Worker, how: str, canary: str, trace: Path, tmp_path: Path
) -> None:
    """If .git names another repository, the commit is still made in the project, and the other is unchanged."""
    other = make_repository(tmp_path / "other")
    git(other, "config", "core.fsmonitor", canary)
    git(other, "config", "filter.evil.clean", canary)
    (other / ".git" / "info" / "attributes").write_text("* filter=evil\n")
    path = await worker.ready(attempt())
    before = fingerprint(other), fingerprint(worker.project)
    pointer = path / ".git"
    pointer.unlink()
    if how == "repository":
        pointer.write_text(f"gitdir: {other / '.git'}\n")
    if how == "users-checkout":
        pointer.write_text(f"gitdir: {worker.project / '.git'}\n")
    if how == "link":
        pointer.symlink_to(other / ".git")
    if how == "pipe":
        os.mkfifo(pointer)
    (path / "a.txt").write_text("a\n")
    done = await worker.commit(attempt())
    assert worker.git("show", f"{done.commit}:a.txt") == "a"
    assert (fingerprint(other), fingerprint(worker.project)) == before
    assert not trace.exists() or "fsmonitor" not in trace.read_text()
    await worker.remove("runs/r1/epics/api")
