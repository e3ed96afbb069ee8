"""A task's worktree first takes in the accepted work of other epics that the task needs."""

from pathlib import Path

from heddle import pb
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

TWO = attempt("api", "two")


async def accepted(worker: Worker, epic: str, files: dict[str, str], task: str = "one") -> str:
    """Accepts a task that writes files; returns its commit."""
    path = await worker.ready(attempt(epic, task))
    for name, text in files.items():
        (path / name).write_text(text)
    return (await worker.commit(attempt(epic, task))).commit


async def test_clean_work_is_a_commit_of_the_branch(worker: Worker) -> None:
    """The files of both needed tasks are there, committed; the call can be repeated, and needs nothing twice."""
    other = await accepted(worker, "ui", {"ui.txt": "ui\n"})
    third = await accepted(worker, "docs", {"docs.txt": "docs\n"})
    await accepted(worker, "api", {"api.txt": "api\n"})
    ensured = await worker.ensure(TWO, needed=[other, third])
    path = Path(ensured.worktree.path)
    assert sorted(each.name for each in path.glob("*.txt")) == ["api.txt", "docs.txt", "ui.txt"]
    assert git(path, "status", "--porcelain") == ""
    assert list(ensured.conflict_files) == []
    head = worker.git("rev-parse", "heddle/r1/epics/api")
    assert worker.git("rev-parse", f"{head}^2", f"{head}^^2", f"{head}^2^2").split() == [
        ensured.taken_in,
        other,
        third,
    ]
    assert worker.git("diff", "--name-only", ensured.taken_in, head).split() == ["api.txt"]
    assert (await worker.ensure(TWO, needed=[other, third])).worktree.head_commit == head
    (path / "more.txt").write_text("more\n")
    commit = (await worker.commit(TWO)).commit
    assert worker.git("rev-parse", f"{commit}^") == head
    await worker.ensure(attempt("api", "three"), needed=[other])
    assert worker.git("rev-parse", "heddle/r1/epics/api") == commit


async def test_a_conflict_is_left_to_a_person(worker: Worker, tmp_path: Path) -> None:
    """Nothing moves, and the error names the files and commands; after a merge by hand, the next attempt has it."""
    other = await accepted(worker, "ui", {"shared.txt": "ui\n"})
    head = await accepted(worker, "api", {"shared.txt": "api\n"})
    error = await refused(worker.ensure(TWO, needed=[other]))
    assert error.reason == pb.ERROR_REASON_NEEDS_CONFLICT
    assert error.metadata == {"files": "shared.txt", "commit": other}
    assert f"git merge {other}" in error.message
    assert worker.git("rev-parse", "heddle/r1/epics/api") == head

    folder = tmp_path / "by-hand"
    worker.git("worktree", "add", "--quiet", "--detach", str(folder), "heddle/r1/epics/api")
    git(folder, "merge", "--quiet", "--strategy-option=ours", "--no-edit", other)
    git(folder, "update-ref", "refs/heads/heddle/r1/epics/api", "HEAD")
    ensured = await worker.ensure(attempt("api", "two", 2), needed=[other])
    assert ensured.worktree.head_commit == git(folder, "rev-parse", "HEAD").strip()
    assert (Path(ensured.worktree.path) / "shared.txt").read_text() == "api\n"


async def test_an_agent_resolves_a_conflict(worker: Worker) -> None:
    """The worktree has conflict markers; only without them is the work accepted, as a merge of both sides."""
    other = await accepted(worker, "ui", {"shared.txt": "ui\n"})
    clean = await accepted(worker, "docs", {"docs.txt": "docs\n"})
    await accepted(worker, "api", {"shared.txt": "api\n"})
    ensured = await worker.ensure(TWO, needed=[other, clean], resolve=True)
    path = Path(ensured.worktree.path)
    assert list(ensured.conflict_files) == ["shared.txt"]
    assert other in worker.git("rev-list", ensured.conflict_commit)
    assert (path / "docs.txt").exists()
    assert "<<<<<<<" in (path / "shared.txt").read_text()
    again = await worker.ensure(TWO, needed=[other, clean], resolve=True)
    assert again.conflict_commit == ensured.conflict_commit
    assert (await refused(worker.commit(TWO))).reason == pb.ERROR_REASON_MARKERS_LEFT
    (path / "shared.txt").write_text("both\n")
    commit = (await worker.commit(TWO)).commit
    assert worker.git("rev-parse", f"{commit}^2").strip() == ensured.conflict_commit


async def test_two_conflicts_are_too_many_for_an_agent(worker: Worker) -> None:
    """Only one merge can be in progress in a worktree, so a person has to resolve one of them."""
    needed = [await accepted(worker, epic, {"shared.txt": f"{epic}\n"}) for epic in ("ui", "docs")]
    await accepted(worker, "api", {"shared.txt": "api\n"})
    error = await refused(worker.ensure(TWO, needed=needed, resolve=True))
    assert error.reason == pb.ERROR_REASON_NEEDS_CONFLICT
    assert all(commit in error.message for commit in needed)
