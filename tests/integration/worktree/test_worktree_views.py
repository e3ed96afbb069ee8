"""A worktree of an epic has a repository of its own, which borrows from the project's and changes nothing in it."""

import json
import shutil
from pathlib import Path

import pytest

from heddle.files.worktree_paths import git_folder_of, record_file_of, view_of
from tests.support.repositories import git, git_fails
from tests.support.scheduler import eventually
from tests.support.worktrees import Worker, attempt, fingerprint
from worktree_svc.storage import files


def put_away(project: Path, text: str = "private") -> str:
    """Stashes a change of the user; returns its commit."""
    (project / "README.md").write_text(f"{text}\n")
    git(project, "stash")
    return git(project, "rev-parse", "stash")


@pytest.mark.parametrize("packed", [False, True])
async def test_each_worktree_has_a_stash_of_its_own(worker: Worker, *, packed: bool) -> None:
    """Two epics and the user stash changes and pop them, and each gets only its own; none removes another's."""
    mine = put_away(worker.project)
    if packed:
        worker.git("pack-refs", "--all")
    paths = [await worker.ready(attempt(epic)) for epic in ("one", "two")]
    for path in paths:
        assert git(path, "stash", "list") == ""
        git_fails(path, "stash", "pop")
        git_fails(path, "stash", "apply", "stash")
        (path / "README.md").write_text(f"{path.name}\n")
        git(path, "stash")
    for path in paths:
        assert (path / "README.md").read_text() == "# Sample\n"
        git(path, "stash", "pop")
        assert (path / "README.md").read_text() == f"{path.name}\n"
        assert git(path, "stash", "list") == ""
    assert worker.git("rev-parse", "stash") == mine
    worker.git("stash", "pop")
    assert Path(worker.project, "README.md").read_text() == "private\n"


async def test_a_stash_of_an_attempt_is_kept_with_its_work(worker: Worker) -> None:
    """A stash that an attempt leaves is kept with its other work, and the next attempt does not have it."""
    path = await worker.ready(attempt())
    (path / "README.md").write_text("put away\n")
    git(path, "stash")
    stash = git(path, "rev-parse", "stash")
    kept = (await worker.discard(attempt())).kept_ref
    assert stash in worker.git("log", "-1", "--format=%P", kept).split()
    path = await worker.ready(attempt(number=2))
    assert git(path, "stash", "list") == ""
    (path / "README.md").write_text("again\n")
    git(path, "stash")
    stash = git(path, "rev-parse", "stash")
    archived = (await worker.remove("runs/r1/epics/api")).archive_commit
    assert worker.git("rev-parse", f"{archived}^") == worker.git("rev-parse", "main")
    assert stash in worker.git("log", "-1", "--format=%P", archived).split()
    assert [each.name for each in path.parent.parent.iterdir() if each.is_dir()] in ([], ["r1"])
    assert not path.with_name("api.git").exists()


async def test_an_emptied_stash_is_nothing_to_keep(worker: Worker) -> None:
    """A popped stash leaves nothing, even if git could not remove its ref."""
    path = await worker.ready(attempt())
    (path / "README.md").write_text("own\n")
    git(path, "stash")
    ref = path.with_name("api.git") / "refs" / "stash"
    commit = ref.read_text()
    git(path, "stash", "pop")
    # This is the case in a sandbox.
    ref.write_text(commit)
    await worker.commit(attempt())
    assert not (await worker.remove("runs/r1/epics/api")).archive_commit


async def test_a_worktree_reads_the_repository_and_writes_its_own(worker: Worker) -> None:
    """Branches, tags, settings and objects are those of the repository; what git changes there stays there."""
    worker.git("tag", "v1")
    worker.git("notes", "add", "--message=private")
    path = await worker.ready(attempt())
    assert git(path, "rev-parse", "v1", "main") == worker.git("rev-parse", "v1", "main")
    assert git(path, "notes", "list") == ""
    git(path, "notes", "add", "--message=own")
    assert worker.git("notes", "show") == "private"
    before = fingerprint(worker.project)
    git(path, "branch", "side")
    git(path, "tag", "v2")
    git(path, "update-ref", "refs/remotes/origin/own", "HEAD")
    (path / "README.md").write_text("own\n")
    git(path, "commit", "--quiet", "--all", "--message=Own")
    assert fingerprint(worker.project) == before
    assert worker.git("rev-parse", "heddle/r1/epics/api") == worker.git("rev-parse", "main")
    git_fails(worker.project, "cat-file", "-e", git(path, "rev-parse", "HEAD"))
    worker.git("config", "heddle.test", "yes")
    assert git(path, "config", "heddle.test") == "yes"
    # A setting of the worktree is not a setting of the repository.
    git(path, "config", "heddle.test", "own")
    assert worker.git("config", "heddle.test") == "yes"
    git_fails(path, "switch", "main")
    worker.git("gc", "--quiet", "--prune=now")
    worker.git("fetch", "--quiet", ".", "main:refs/remotes/origin/main")
    assert worker.git("fsck", "--strict") == ""
    assert git(path, "rev-parse", "HEAD^", "main", "v1") == worker.git("rev-parse", "main", "main", "v1")
    done = await worker.commit(attempt())
    assert worker.git("show", f"{done.commit}:README.md") == "own"
    # A run may start from such a worktree.
    assert (await worker.inspect(path)).base_commit == done.commit


async def test_branches_that_move_are_seen_while_an_agent_works(worker: Worker) -> None:
    """A worktree shows the branches of the repository as they are now, except where the agent moved its own."""
    path = await worker.ready(attempt())
    git(path, "branch", "side")
    git(path, "branch", "--force", "both")
    mine = git(path, "rev-parse", "both")
    for branch in ("new", "both"):
        git(worker.project, "branch", branch)
    (worker.project / "README.md").write_text("theirs\n")
    git(worker.project, "commit", "--quiet", "--all", "--message=Theirs")
    git(worker.project, "branch", "--force", "both")
    main = git(worker.project, "rev-parse", "main")
    await eventually(lambda: git(path, "rev-parse", "main") == main)
    assert git(path, "rev-parse", "new", "side", "both", "HEAD").split() == [mine] * 4
    git(worker.project, "pack-refs", "--all")
    git(worker.project, "branch", "--delete", "new")
    await eventually(lambda: "new" not in git(path, "for-each-ref", "--format=%(refname:short)").split())
    assert git(path, "rev-parse", "main") == main


async def test_a_worktree_of_an_earlier_version_is_taken_over(worker: Worker) -> None:
    """A worktree whose git folder is in the repository, with an agent's commit, changes and stash, works as before."""
    path = await worker.ready(attempt())
    view, own, registration = view_of(path), git_folder_of(path), worker.project / ".git/worktrees/api"
    for entry in own.iterdir():
        entry.replace(registration / entry.name)
    (registration / "gitdir").write_text(f"{path}/.git\n")
    (registration / "commondir").write_text(f"{view}\n")
    (path / ".git").write_text(f"gitdir: {registration}\n")
    for name in ("objects", "packed-refs", "refs", "logs", "worktrees"):
        files.remove(view / name)
    for name in (
        "objects",
        "packed-refs",
        "worktrees",
        *(f"{part}refs/{kind}" for part in ("", "logs/") for kind in ("heads", "heddle")),
    ):
        (view / name).parent.mkdir(parents=True, exist_ok=True)
        (view / name).symlink_to(worker.project / ".git" / name)
    record = json.loads(record_file_of(path).read_text())
    record_file_of(path).write_text(
        json.dumps({key: record[key] for key in record if key not in {"common", "shared"}})
    )
    for text in ("stashed", "committed"):
        (path / "README.md").write_text(f"{text}\n")
        git(path, *(("stash",) if text == "stashed" else ("commit", "--quiet", "--all", "--message=Own")))
    tip = git(worker.project, "rev-parse", "heddle/r1/epics/api")
    (path / "README.md").write_text("changed\n")
    git(path, "add", "README.md")

    assert not (await worker.ensure(attempt())).created
    assert git(path, "rev-parse", "HEAD") == git(worker.project, "rev-parse", "heddle/r1/epics/api") == tip
    assert git(path, "diff", "--cached", "--name-only") == "README.md"
    assert git(path, "show", "stash:README.md") == "stashed"
    assert git(path, "rev-parse", "--absolute-git-dir") == str(own)
    assert worker.git("worktree", "list").count("api") == 2
    git(path, "commit", "--quiet", "--message=More")
    assert git(worker.project, "rev-parse", "heddle/r1/epics/api") == tip
    done = await worker.commit(attempt())
    assert worker.git("show", f"{done.commit}:README.md") == "changed"


async def test_git_gc_in_a_worktree_keeps_objects_that_it_does_not_see(worker: Worker) -> None:
    """Objects that only the user's stash, notes, index or reflog use survive gc --prune=now in a worktree."""
    stashes = [put_away(worker.project, text) for text in ("private", "private too")]
    worker.git("notes", "add", "--message=private")
    (worker.project / "staged").write_text("staged\n")
    worker.git("add", "staged")
    worker.git("commit", "--quiet", "--message=Taken back")
    undone = worker.git("rev-parse", "HEAD")
    worker.git("reset", "--quiet", "--soft", "HEAD^")
    path = await worker.ready(attempt())
    git(path, "gc", "--quiet", "--prune=now")
    git_fails(path, "prune")
    git_fails(path, "repack", "-a", "-d")
    assert [worker.git("rev-parse", f"stash@{{{number}}}") for number in (1, 0)] == stashes
    for number in (1, 0):
        assert "+private" in worker.git("stash", "show", "--patch", f"stash@{{{number}}}")
    assert worker.git("notes", "show") == "private"
    assert worker.git("show", f"{undone}:staged") == worker.git("show", ":staged") == "staged"


async def test_a_view_that_was_damaged_is_made_again(worker: Worker) -> None:
    """If an agent breaks links or removes the view, the next attempt has a complete one."""
    path = await worker.ready(attempt())
    view = path.with_name("api.git")
    (view / "info").unlink()
    shutil.rmtree(view / "objects")
    (view / "config").write_text("[heddle]\n\ttest = kept\n")
    shutil.rmtree(view / "logs")
    (view / "logs").symlink_to("/nowhere")
    await worker.discard(attempt())
    path = await worker.ready(attempt(number=2))
    # Settings made there stay, and required ones are restored.
    assert git(path, "config", "heddle.test") == "kept"
    assert git(path, "config", "core.bare") == "false"
    git_fails(path, "prune")
    (path / "README.md").write_text("own\n")
    git(path, "stash")
    git(path, "stash", "pop")
    shutil.rmtree(view)
    (path / "README.md").write_text("other\n")
    assert worker.git("show", f"{(await worker.commit(attempt(number=2))).commit}:README.md") == "other"
    assert git(path, "status", "--short") == ""


async def test_files_that_a_power_failure_emptied_are_written_again(worker: Worker) -> None:
    """A view's files are not synced to disk; a call that continues the attempt repairs them and keeps its work."""
    path = await worker.ready(attempt())
    (path / "README.md").write_text("work\n")
    own, view = git_folder_of(path), view_of(path)
    for file in (view / "config", view / "objects/info/alternates", own / "gitdir", own / "commondir"):
        assert file.stat().st_size
        file.write_text("")
    git_fails(path, "status")
    assert await worker.ready(attempt()) == path
    assert git(path, "status", "--short") == " M README.md"
    assert git(path, "log", "-1", "--format=%s") == "Start"
    assert (await worker.commit(attempt())).diff_stat.files == 1


async def test_a_branch_that_someone_moved_is_reset(worker: Worker) -> None:
    """The next attempt begins on its branch at the accepted commit, whatever the branch had become."""
    path = await worker.ready(attempt())
    accepted = git(path, "rev-parse", "HEAD")
    branch = f"refs/heads/{attempt().parent.parent.branch}"
    (worker.project / "more.txt").write_text("more\n")
    worker.git("add", "--all")
    worker.git("commit", "--quiet", "--message=More")
    for number, change in enumerate(
        (("update-ref", branch, "main"), ("symbolic-ref", branch, "refs/heads/main")), 2
    ):
        worker.git(*change)
        assert await worker.ready(attempt(number=number)) == path
        assert worker.git("rev-parse", branch) == git(path, "rev-parse", "HEAD") == accepted
        assert git(path, "symbolic-ref", "HEAD") == branch
        assert worker.git("log", "-1", "--format=%s", "main") == "More"
