"""A merge that an agent makes stays a merge; an unfinished one is not accepted."""

from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git, git_fails
from tests.support.worktrees import Worker, attempt, refused

EPIC = "heddle/r1/epics/api"


def move_main(worker: Worker, text: str = "# Theirs\n") -> str:
    """Commits a change of the user on main; returns the commit."""
    Path(worker.project, "README.md").write_text(text)
    worker.git("commit", "--quiet", "--all", "--message", "Theirs")
    return worker.git("rev-parse", "main")


def parents(worker: Worker, commit: str) -> list[str]:
    return worker.git("log", "-1", "--format=%P", commit).split()


def commit_all(path: Path, message: str) -> None:
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", message)


async def take_in(worker: Worker, how: str) -> tuple[str, str, str]:
    """Lets an agent write a file and merge main in one of several ways; returns base, main and the accepted commit."""
    path = await worker.ready(attempt())
    base = git(path, "rev-parse", "HEAD")
    if how in {"merge", "rebase", "conflict"}:
        (path / ("README.md" if how == "conflict" else "own.txt")).write_text("own\n")
        commit_all(path, "Own")
    main = move_main(worker)
    match how:
        case "fast-forward":
            git(path, "merge", "--quiet", "main")
            (path / "own.txt").write_text("own\n")
        case "merge":
            git(path, "merge", "--quiet", "--no-edit", "main")
        case "rebase":
            git(path, "rebase", "--quiet", "main")
        case "reset":
            git(path, "reset", "--quiet", "--hard", "main")
            (path / "own.txt").write_text("own\n")
        case "conflict":
            git_fails(path, "merge", "--quiet", "main")
            # Resolved, but not committed.
            (path / "README.md").write_text("both\n")
    return base, main, (await worker.commit(attempt())).commit


@pytest.mark.parametrize("how", ["fast-forward", "merge", "rebase", "reset", "conflict"])
@pytest.mark.parametrize("squash", [False, True])
async def test_a_branch_that_the_agent_took_in_is_a_parent(worker: Worker, how: str, *, squash: bool) -> None:
    """However an agent merges main, its commit has main as second parent, and merges into main without a conflict."""
    base, main, commit = await take_in(worker, how)
    assert parents(worker, commit) == [base, main]
    worker.git("switch", "--quiet", "--detach")
    done = await worker.merge(EPIC, "heddle/r1/merged", base, "runs/r1/epics/api", squash=squash)
    assert done.HasField("merged"), done
    last = await worker.merge("heddle/r1/merged", "main", squash=squash)
    assert last.HasField("merged"), last
    wanted = {"conflict": "both"}.get(how, "# Theirs")
    assert worker.git("show", "main:README.md") == wanted


async def test_a_branch_that_the_agent_only_reset_to_is_not_merged(worker: Worker) -> None:
    """A soft reset to main reverts the changes of main; the merge restores them instead of losing them."""
    path = await worker.ready(attempt())
    (path / "own.txt").write_text("own\n")
    base, _ = git(path, "rev-parse", "HEAD"), move_main(worker)
    git(path, "reset", "--quiet", "--soft", "main")
    commit_all(path, "Own")
    done = await worker.commit(attempt())
    assert parents(worker, done.commit) == [base]
    worker.git("switch", "--quiet", "--detach")
    await worker.merge(EPIC, "main")
    assert worker.git("show", "main:README.md") == "# Theirs"
    assert worker.git("show", "main:own.txt") == "own"


async def test_own_work_does_not_start_at_an_older_merged_branch(worker: Worker) -> None:
    """The answer names a merged branch, to tell the epic's own work apart, only if it contains the epic's start."""
    worker.git("branch", "old")
    move_main(worker)
    worker.git("switch", "--quiet", "old")
    (worker.project / "old.txt").write_text("old\n")
    commit_all(worker.project, "Old")
    path = await worker.ready(attempt())
    git(path, "merge", "--quiet", "--no-edit", "old")
    done = await worker.commit(attempt())
    assert parents(worker, done.commit)[1:] == [worker.git("rev-parse", "old")]
    assert done.merged_commit == ""
    worker.git("switch", "--quiet", "main")
    main = move_main(worker, "# Again\n")
    path = await worker.ready(attempt(task="two"))
    git(path, "merge", "--quiet", "--no-edit", "main")
    assert (await worker.commit(attempt(task="two"))).merged_commit == main


async def test_own_branches_are_no_parents(worker: Worker) -> None:
    """An agent's commits, including those on its own branches, become one commit with one parent."""
    path = await worker.ready(attempt())
    base = git(path, "rev-parse", "HEAD")
    git(path, "switch", "--quiet", "--create", "feature")
    (path / "own.txt").write_text("own\n")
    commit_all(path, "Own")
    git(path, "branch", "backup")
    done = await worker.commit(attempt())
    assert parents(worker, done.commit) == [base]


@pytest.mark.parametrize("how", ["merge", "cherry-pick", "revert", "rebase", "stash", "binary"])
async def test_a_half_done_merge_is_not_accepted(worker: Worker, how: str) -> None:
    """Conflicts that an agent leaves unresolved fail the attempt, with the files; the next attempt starts clean."""
    path = await worker.ready(attempt())
    name = "image" if how == "binary" else "README.md"
    main = move_main(worker)
    if how == "binary":
        Path(worker.project, name).write_bytes(b"\0theirs")
        worker.git("add", "--all")
        main = move_main(worker, "# More\n")
    (path / name).write_bytes(b"\0own" if how == "binary" else b"own\n")
    if how == "stash":
        git(path, "stash")
        (path / name).write_text("other\n")
    commit_all(path, "Own")
    if how == "revert":
        (path / name).write_text("again\n")
        commit_all(path, "Again")
    command = {
        "cherry-pick": ["cherry-pick", main],
        "revert": ["revert", "--no-edit", "HEAD^"],
        "rebase": ["rebase", "main"],
        "stash": ["stash", "pop"],
    }.get(how, ["merge", "main"])
    git_fails(path, *command)
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_MERGE_UNFINISHED, error
    assert name in error.message or how == "rebase", error.message
    again = await worker.ready(attempt(number=2))
    assert (again / "README.md").read_text() == "# Sample\n"
    assert git(again, "status", "--short") == ""
    assert "currently" not in git(again, "status")


async def test_markers_that_an_agent_commits_are_not_accepted(worker: Worker) -> None:
    """Conflict markers in a merge that the agent committed fail the attempt; text about markers does not."""
    path = await worker.ready(attempt())
    (path / "README.md").write_text("own\n")
    (path / "about.md").write_text("<<<<<<< one\n=======\n>>>>>>> other\n")
    await worker.commit(attempt())
    move_main(worker)
    path = await worker.ready(attempt(task="two"))
    git_fails(path, "merge", "main")
    commit_all(path, "Merge")
    error = await refused(worker.commit(attempt(task="two")))
    assert error.reason == pb.ERROR_REASON_MARKERS_LEFT
    assert "README.md" in error.message
    assert "about.md" not in error.message
