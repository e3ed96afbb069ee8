"""A project is inspected before a run is created; the error for each obstacle says what to do."""

import os
import subprocess
from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, fingerprint, refused


async def test_a_sound_project(worker: Worker) -> None:
    """From any folder inside the project, the answer has the top folder and the commit of HEAD."""
    worker.git("branch", "release")
    found = await worker.inspect(worker.project / "src", into="release")
    assert found.project == str(worker.project)
    assert found.base_commit == worker.git("rev-parse", "HEAD")
    assert list(found.dirty_files) == []


async def test_dirty_files_are_listed_and_left_alone(worker: Worker) -> None:
    """At most 20 changed tracked files are listed, and no untracked ones; the index is not even refreshed."""
    for number in range(25):
        (worker.project / f"{number:02} ✓.txt").write_text("x\n")
    worker.git("add", ".")
    worker.git("commit", "--quiet", "-m", "files")
    for number in range(25):
        (worker.project / f"{number:02} ✓.txt").write_text("changed\n")
    worker.git("mv", "README.md", "new name.md")
    (worker.project / "untracked").write_text("x\n")
    # The index lists this file as changed, so any git command that may write would refresh the index.
    os.utime(worker.project / "src" / "app.py", (0, 0))
    before = fingerprint(worker.project)
    found = await worker.inspect()
    assert list(found.dirty_files) == [f"{number:02} ✓.txt" for number in range(20)]
    assert fingerprint(worker.project) == before


async def test_a_renamed_file_is_dirty_under_both_names(worker: Worker) -> None:
    """A staged rename is listed as one removed and one new file."""
    worker.git("mv", "README.md", "new name.md")
    assert list((await worker.inspect()).dirty_files) == ["README.md", "new name.md"]


async def test_other_kinds_of_repositories(worker: Worker, tmp_path: Path) -> None:
    """A bare repository and a linked worktree are projects too."""
    worker.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    assert (await worker.inspect(tmp_path / "bare.git")).project == str(tmp_path / "bare.git")
    worker.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    git(tmp_path / "linked", "commit", "--quiet", "--allow-empty", "-m", "On the side")
    found = await worker.inspect(tmp_path / "linked")
    assert found.project == str(tmp_path / "linked")
    assert found.base_commit == worker.git("rev-parse", "side")
    assert found.base_branch == "side"


async def test_a_format_that_is_not_read(worker: Worker) -> None:
    """A repository in the reftable format is not treated as empty: the error has a command to convert it."""
    (worker.project / ".git/reftable").mkdir()
    error = await refused(worker.inspect())
    assert error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY
    assert f"git -C {worker.project} refs migrate --ref-format=files" in error.message


async def test_no_repository(worker: Worker, tmp_path: Path) -> None:
    """A path without a repository or folder, a file, and the inside of .git: each error says what to do."""
    (tmp_path / "plain").mkdir()
    for path, words in (
        (tmp_path / "plain", "git -C"),
        (tmp_path / "nowhere", "does not exist"),
        (worker.project / "README.md", "is a file"),
        (worker.project / ".git" / "refs", "inside a .git folder"),
    ):
        error = await refused(worker.inspect(path))
        assert error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY
        assert words in error.message
        assert error.metadata["project"] == str(path)


async def test_malformed_paths(worker: Worker) -> None:
    """A relative or empty path is INVALID_FIELD."""
    for path in ("src", "~/app", "../x", "--help"):
        error = await refused(worker.inspect(path))
        assert error.reason == pb.ERROR_REASON_INVALID_FIELD
        assert error.violations[0].field == "project"
    request = pb.InspectProjectRequest()
    assert (await refused(worker.stub.InspectProject(request))).reason == pb.ERROR_REASON_INVALID_FIELD


async def test_an_empty_repository(worker: Worker, tmp_path: Path) -> None:
    """For a repository without a commit, the error says how to make one."""
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    error = await refused(worker.inspect(empty))
    assert error.reason == pb.ERROR_REASON_EMPTY_REPOSITORY
    assert "commit --allow-empty" in error.message


async def test_unknown_bases(worker: Worker) -> None:
    """An unknown base is named with similar names; options and blobs are not bases."""
    worker.git("branch", "feature/login")
    error = await refused(worker.inspect(base="feature/logn"))
    assert error.reason == pb.ERROR_REASON_UNKNOWN_REVISION
    assert error.metadata["revision"] == "feature/logn"
    assert "did you mean feature/login" in error.message
    for base in ("--all", "-n1", "main:README.md", "0" * 40, "a b", "\n", "✓"):
        assert (await refused(worker.inspect(base=base))).reason == pb.ERROR_REASON_UNKNOWN_REVISION
    short = worker.git("rev-parse", "--short", "main")
    for base, named in {
        "HEAD": "main",
        "main": "main",
        "refs/heads/main": "main",
        short: "",
        "HEAD~0": "",
    }.items():
        found = await worker.inspect(base=base)
        assert (found.base_commit, found.base_branch) == (worker.git("rev-parse", "main"), named)


async def test_merge_into(worker: Worker, tmp_path: Path) -> None:
    """A target that does not exist, exists only at origin, is malformed or checked out anywhere is refused."""
    error = await refused(worker.inspect(into="nowhere"))
    assert error.reason == pb.ERROR_REASON_UNKNOWN_REVISION
    worker.git("update-ref", "refs/remotes/origin/theirs", "main")
    assert "git branch theirs origin/theirs" in (await refused(worker.inspect(into="theirs"))).message
    assert (await refused(worker.inspect(into="a..b"))).reason == pb.ERROR_REASON_INVALID_FIELD
    error = await refused(worker.inspect(into="main"))
    assert error.reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT
    worker.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "with space"))
    error = await refused(worker.inspect(into="side"))
    assert error.metadata == {"branch": "side", "path": str(tmp_path / "with space")}
    assert f"git -C '{tmp_path / 'with space'}' switch --detach" in error.message


async def test_a_branch_called_heddle_is_in_the_way(worker: Worker) -> None:
    """Git cannot have both heddle and heddle/R/…: the error comes before the run starts."""
    worker.git("branch", "heddle")
    error = await refused(worker.inspect())
    assert error.reason == pb.ERROR_REASON_BRANCH_EXISTS
    assert "branch -m heddle" in error.message


async def test_an_unmerged_file_is_dirty(worker: Worker, tmp_path: Path) -> None:
    """Files with an unresolved conflict are listed as dirty."""
    other = make_repository(tmp_path / "other", {"README.md": "other\n"})
    worker.git("fetch", "--quiet", str(other), "main:theirs")
    worker.git("update-ref", "refs/heads/theirs", "theirs")
    with pytest.raises(subprocess.CalledProcessError):
        worker.git("merge", "--allow-unrelated-histories", "theirs")
    assert list((await worker.inspect()).dirty_files) == ["README.md"]


async def test_any_revision_of_the_users_git_is_a_base(worker: Worker) -> None:
    """A base is any revision that git rev-parse resolves to a commit: by reflog, upstream or message text."""
    project = worker.project
    for number in range(2):
        (project / "README.md").write_text(f"{number}\n")
        worker.git("commit", "--quiet", "--all", f"--message=Step {number}")
    (project / "README.md").write_text("put away\n")
    worker.git("stash")
    worker.git("switch", "--quiet", "--create", "other", "main~2")
    worker.git("update-ref", "refs/remotes/origin/main", "main~1")
    worker.git("config", "branch.main.remote", "origin")
    worker.git("config", "branch.main.merge", "refs/heads/main")
    worker.git("config", "remote.origin.url", "/nowhere")
    worker.git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    # A program that the configuration names does not run.
    worker.git("config", "core.fsmonitor", "touch " + str(project / "ran"))
    for revision in (
        *(
            "HEAD@{1}",
            "main@{1}",
            "main~1",
            "stash@{0}",
            "stash",
            ":/Step 0",
            "HEAD^{/Start}",
            "@{-1}",
        ),
        *("main@{upstream}", "main^{commit}", "refs/heads/main@{0}"),
    ):
        found = await worker.inspect(base=revision)
        assert found.base_commit == worker.git(
            "rev-parse", f"{worker.git('rev-parse', revision)}^{{commit}}"
        ), revision
    assert not (project / "ran").exists()
    linked = project.parent / "linked"
    worker.git("worktree", "add", "--quiet", "--detach", str(linked), "main")
    git(linked, "switch", "--quiet", "--detach", "main~1")
    assert (await worker.inspect(linked, base="HEAD@{1}")).base_commit == worker.git("rev-parse", "main")
    for revision in ("HEAD@{99}", "stash@{5}", ":/nothing like it", "HEAD:README.md", ":/", "--all", "a\0b"):
        error = await refused(worker.inspect(base=revision))
        assert error.reason == pb.ERROR_REASON_UNKNOWN_REVISION, revision


async def test_a_branch_comes_before_a_tag_of_its_name(worker: Worker) -> None:
    """A tag with a branch's name does not hide the branch as base, with or without a suffix, or in merges."""
    old = worker.git("rev-parse", "main")
    worker.git("switch", "--quiet", "--create", "work")
    (worker.project / "README.md").write_text("new\n")
    worker.git("commit", "--quiet", "--all", "--message=New")
    new = worker.git("rev-parse", "work")
    worker.git("tag", "work", old)
    assert (await worker.inspect(base="work")).base_commit == new
    assert (await worker.inspect(base="work~1")).base_commit == old
    assert (await worker.inspect(base="refs/tags/work")).base_commit == old
    done = await worker.merge("work", "heddle/r1/merged", "work")
    assert done.merged.commit == new


async def test_a_base_behind_its_upstream_is_reported(worker: Worker) -> None:
    """The answer has how many commits the base is behind its upstream, or behind the same branch at origin."""
    assert not (await worker.inspect()).HasField("base_behind")
    for number in range(3):
        (worker.project / "README.md").write_text(f"{number}\n")
        worker.git("commit", "--quiet", "--all", f"--message=Step {number}")
    worker.git("update-ref", "refs/remotes/origin/main", "main")
    assert not (await worker.inspect()).HasField("base_behind")
    worker.git("reset", "--quiet", "--hard", "main~2")
    assert (await worker.inspect()).base_behind == pb.BaseBehind(
        branch="main", upstream="origin/main", commits=2
    )
    assert not (await worker.inspect(base="main~1")).HasField("base_behind")
    worker.git("branch", "trunk", "refs/remotes/origin/main~1")
    worker.git("branch", "--set-upstream-to=trunk", "main")
    assert (await worker.inspect()).base_behind == pb.BaseBehind(branch="main", upstream="trunk", commits=1)
