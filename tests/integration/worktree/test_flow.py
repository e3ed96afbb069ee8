"""The lifecycle of a run's worktrees, from the first attempt to the merged branch."""

import asyncio
from pathlib import Path

import pytest

from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, fingerprint

EPICS = ("api", "ui", "db")
TASKS = ("one", "two", "three")


async def run_epic(worker: Worker, epic: str) -> None:
    for task in TASKS:
        name = attempt(epic, task)
        path = await worker.ready(name)
        (path / f"{epic}-{task}.txt").write_text(f"{epic} {task}\n")
        await worker.commit(name, f"{epic}: {task}")


async def test_a_run_of_three_epics_leaves_commits_in_order_and_the_checkout_alone(worker: Worker) -> None:
    """Of three parallel epics, each branch has its tasks in order, and the run's branch has all of them."""
    (worker.project / "README.md").write_text("# Half-done work of the user\n")
    (worker.project / "src" / "app.py").write_text("staged\n")
    worker.git("add", "src/app.py")
    (worker.project / "untracked.txt").write_text("the user's\n")
    before = fingerprint(worker.project)

    await asyncio.gather(*(run_epic(worker, epic) for epic in EPICS))
    for epic in EPICS:
        merged = await worker.merge(
            f"heddle/r1/epics/{epic}", "heddle/r1/merged", "main", f"runs/r1/epics/{epic}"
        )
        assert not merged.merged.already
        log = worker.git("log", "--first-parent", "--reverse", "--format=%s", f"main..heddle/r1/epics/{epic}")
        assert log.splitlines() == [f"{epic}: {task}" for task in TASKS]
    files = worker.git("ls-tree", "--name-only", "heddle/r1/merged").splitlines()
    assert {f"{epic}-{task}.txt" for epic in EPICS for task in TASKS} <= set(files)
    for epic in EPICS:
        assert (await worker.remove(f"runs/r1/epics/{epic}")).removed

    assert fingerprint(worker.project) == before
    assert list((worker.home / "worktrees").iterdir()) == []
    assert worker.git("worktree", "list").count("\n") == 0
    # The empty folder stays: a `git worktree add` that has just looked for it would fail.
    assert list((worker.project / ".git" / "worktrees").iterdir()) == []
    assert worker.git("for-each-ref", "refs/heddle/attempts") == ""


async def test_a_commit_names_its_attempt(worker: Worker) -> None:
    """A task's commit has subject, body and the four trailers; its author is the repository's user."""
    worker.git("config", "user.name", "Grace")
    worker.git("config", "user.email", "grace@example.com")
    path = await worker.ready(attempt())
    (path / "src" / "app.py").write_text("print('one')\nprint('two')\n")
    done = await worker.commit(attempt(), "Add a line", "Why it was needed.")
    message = worker.git("log", "-1", "--format=%B", done.commit)
    assert message == (
        "Add a line\n\nWhy it was needed.\n\n"
        "Heddle-Run: runs/r1\nHeddle-Epic: api\nHeddle-Task: one\nHeddle-Attempt: 1"
    )
    assert (
        worker.git("log", "-1", "--format=%an <%ae> by %cn", done.commit)
        == "Grace <grace@example.com> by Heddle"
    )
    assert (done.diff_stat.files, done.diff_stat.insertions, done.diff_stat.deletions) == (1, 2, 1)
    assert git(path, "status", "--porcelain", "--branch") == "## heddle/r1/epics/api"


async def test_an_attempt_that_changed_nothing_is_still_one_commit(worker: Worker) -> None:
    """Each accepted task is a commit, even if it is empty."""
    await worker.ready(attempt())
    done = await worker.commit(attempt())
    assert done.diff_stat.files == 0
    assert worker.git("rev-parse", f"{done.commit}^") == worker.git("rev-parse", "main")


@pytest.mark.parametrize("kind", ["bare", "linked-worktree", "sha256", "folder-inside"])
async def test_other_kinds_of_projects(worker: Worker, tmp_path: Path, kind: str) -> None:
    """For every kind of repository, from any of its folders, worktree, commit, keep, merge and removal work."""
    origin, path = worker.project, tmp_path / "with space ✓"
    if kind == "bare":
        git(origin, "clone", "--quiet", "--bare", ".", str(path))
    elif kind == "linked-worktree":
        git(origin, "worktree", "add", "--quiet", "-b", "side", str(path))
    elif kind == "sha256":
        path.mkdir()
        git(path, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
        git(path, "commit", "--quiet", "--allow-empty", "-m", "Start")
    else:
        path = origin / "src"
    worker.project = path
    await run_epic(worker, "api")
    folder = await worker.ready(attempt("api", "four"))
    (folder / "left.txt").write_text("left\n")
    assert (await worker.discard(attempt("api", "four"))).kept_ref
    await worker.merge("heddle/r1/epics/api", "heddle/r1/merged", "main")
    assert (await worker.merge("heddle/r1/epics/api", "heddle/r1/merged")).merged.already
    assert (await worker.remove("runs/r1/epics/api")).removed
    assert git(path, "rev-list", "--count", "main..heddle/r1/merged") == "4"


async def test_twenty_worktrees_at_once(worker: Worker) -> None:
    """Twenty epics of one repository get their worktrees at the same time, each on its own branch."""
    names = [attempt(f"epic{number}") for number in range(20)]
    made = await asyncio.gather(*(worker.ensure(name) for name in names))
    for number, response in enumerate(made):
        assert response.created
        assert (
            git(Path(response.worktree.path), "symbolic-ref", "--short", "HEAD")
            == f"heddle/r1/epics/epic{number}"
        )
        assert git(Path(response.worktree.path), "status", "--porcelain") == ""
