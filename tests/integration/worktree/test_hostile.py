"""Hostile repositories: what an agent writes never runs code in the service, nor leads it outside the worktree."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from heddle import pb
from tests.support import worktrees
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt, fingerprint, refused
from worktree_svc import git as service_git

SECRET = "the content of a file that no agent may read"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that is there once `canary` has run."""
    return tmp_path / "trace"


@pytest.fixture
def canary(tmp_path: Path, trace: Path) -> str:
    """A program that must never run; as a filter or a driver it would even work."""
    program = tmp_path / "canary"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {trace}\ncat\n')
    program.chmod(0o755)
    return str(program)


async def do_everything(worker: Worker, attack: Callable[[Path], object]) -> None:
    """Makes every kind of call, the attack having been made in the first worktree."""
    path = await worker.ready(attempt("api", "one"))
    attack(path)
    (path / "README.md").write_text("first\n# Sample\n")
    await worker.inspect()
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
    """No hook runs, be it in .git/hooks or where core.hooksPath points."""
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
    """Git looks into submodules with a child that heeds their configuration: that child is never started."""

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
    """A submodule's URL and its update command are words in a file: nothing is cloned, updated or run."""

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
    """A promised object that is not there is an error; remote.*.uploadpack would be the way to fetch it."""
    path = await worker.ready(attempt())
    for key, value in (
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", str(path)),
        ("remote.origin.uploadpack", canary),
    ):
        git(path, "config", key, value)
    missing = "1" * 40
    (worker.project / ".git" / "worktrees" / "api" / "HEAD").write_text(f"{missing}\n")
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
    """What lies behind a link is neither read, committed, changed nor removed."""
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
    """A file of the worktree's git folder that is a link leaves what it points to alone."""
    outside = tmp_path / "precious"
    outside.write_text(SECRET)
    path = await worker.ready(attempt())
    target = worker.project / ".git" / "worktrees" / "api" / name
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
    """With .git naming another repository, the commit is still made in the project, and the other stays as it was."""
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


@pytest.mark.parametrize("ref", ["refs/heads/heddle/r1/epics/api", "refs/heddle/accepted/r1/api"])
async def test_a_ref_that_stands_for_another_does_not_move_that(worker: Worker, ref: str) -> None:
    """An epic's branch that an agent made an alias of the user's main moves, and main does not."""
    path = await worker.ready(attempt())
    before = fingerprint(worker.project)
    git(path, "symbolic-ref", ref, "refs/heads/main")
    (path / "a.txt").write_text("a\n")
    done = await worker.commit(attempt())
    assert worker.git("rev-parse", ref) == done.commit
    assert fingerprint(worker.project) == before


async def test_a_replaced_object_does_not_change_history(worker: Worker) -> None:
    """refs/replace/ makes git show another commit in a commit's place: not to the service."""
    path = await worker.ready(attempt())
    main = worker.git("rev-parse", "main")
    empty = git(path, "hash-object", "-t", "tree", "-w", "/dev/null")
    fake = git(path, "commit-tree", "-m", "Nothing was ever here", empty)
    git(path, "replace", main, fake)
    (path / "a.txt").write_text("a\n")
    done = await worker.commit(attempt())
    assert done.diff_stat.files == 1
    await worker.merge("heddle/r1/epics/api", "heddle/r1/merged", main)
    git(path, "replace", "--delete", main)
    merged = worker.git("diff", "--name-status", "main", "heddle/r1/merged")
    assert merged == "A\ta.txt"


async def test_names_that_look_like_options_are_names(worker: Worker) -> None:
    """Files, branches and revisions that begin with a dash, or hold what a shell would run, stay words."""
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
    git(path, "update-ref", "refs/heads/--output=x", "HEAD")
    done = await worker.commit(attempt())
    names = worker.git("ls-tree", "-z", "--name-only", done.commit).split("\0")
    assert set(odd) <= set(names)
    for revision in ("--output=y", "-p", "--all", "--upload-pack=x", "@{-1}", "main..side"):
        request = pb.DiffRevisionsRequest(
            project=str(worker.project), from_revision=revision, to_revision=done.commit, from_merge_base=True
        )
        with pytest.raises(grpc.RpcError, match="is no branch, tag or commit"):
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
async def test_what_git_does_not_take_does_not_stop_the_work(worker: Worker, name: str) -> None:
    """Names that git refuses, pipes in place of files and very deep folders: the rest is committed, and the next begins clean."""
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
    """Five thousand files, whose names are no UTF-8 or hold newlines, are committed and cleaned away."""
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
    """With alternates that the agent set and then removed, what was accepted is still whole."""
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
    """A worker whose user has filters of their own: "upper" shouts, "stuck" never ends."""
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
    """What the user's own git configuration defines, as git-lfs does, works in worktrees too."""
    path = await filtering.ready(attempt())
    (path / ".gitattributes").write_text("*.txt filter=upper\n")
    (path / "a.txt").write_text("loud\n")
    done = await filtering.commit(attempt())
    assert filtering.git("show", f"{done.commit}:a.txt") == "LOUD"


async def test_a_filter_that_never_ends_is_ended(
    filtering: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git that takes too long is ended with all that it started; the message says so, and the epic goes on."""
    path = await filtering.ready(attempt())
    (path / ".gitattributes").write_text("*.txt filter=stuck\n")
    (path / "a.txt").write_text("a\n")
    with monkeypatch.context() as patch:
        patch.setattr(service_git, "LONGEST_SECONDS", 1.0)
        error = await refused(filtering.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_GIT_FAILED
    assert "took longer than 1 s" in error.message
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    (path / ".gitattributes").unlink()
    assert (await filtering.commit(attempt())).diff_stat.files == 1
