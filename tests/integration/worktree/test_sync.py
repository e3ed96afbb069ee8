"""An epic takes in new commits of the project's branch before a task starts."""

from pathlib import Path

from heddle import pb
from tests.integration.worktree.test_take_in import TWO, accepted
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

BRANCH = "heddle/r1/epics/api"


def on_main(worker: Worker, files: dict[str, str]) -> str:
    """Commits files on main, which is checked out; returns the commit."""
    for name, text in files.items():
        (worker.project / name).write_text(text)
    worker.git("add", "--all")
    worker.git("commit", "--quiet", "--message", "Someone else")
    return worker.git("rev-parse", "main").strip()


def own(worker: Worker, start: str) -> list[str]:
    """Returns the files that are the epic's own work, as a diff from `start` shows them."""
    return worker.git("diff", "--name-only", start, BRANCH).split()


async def test_new_commits_are_taken_in_once(worker: Worker) -> None:
    """They are merged on the epic's branch; a branch that has not moved changes nothing, nor does a repeated call."""
    base = worker.git("rev-parse", "main").strip()
    before = await accepted(worker, "api", {"api.txt": "api\n"})
    first = await worker.ensure(TWO, sync="main", builds_on=base)
    assert (first.base, first.worktree.head_commit) == (pb.BaseTakenIn(commit=base), before)
    tip = on_main(worker, {"main.txt": "main\n"})
    again = await worker.ensure(TWO, sync="main", builds_on=base)
    assert (again.base, again.worktree.head_commit) == (pb.BaseTakenIn(commit=base), before)
    ensured = await worker.ensure(attempt("api", "two", 2), sync="main", builds_on=base)
    assert ensured.base == pb.BaseTakenIn(commit=tip, commit_count=1)
    assert (Path(ensured.worktree.path) / "main.txt").read_text() == "main\n"
    assert worker.git("rev-parse", f"{BRANCH}^1", f"{BRANCH}^2").split() == [before, tip]
    assert (ensured.taken_in, own(worker, ensured.taken_in)) == (tip, ["api.txt"])
    repeated = await worker.ensure(attempt("api", "two", 2), sync="main", builds_on=base)
    assert (repeated.base, repeated.taken_in) == (ensured.base, tip)
    (Path(ensured.worktree.path) / "two.txt").write_text("two\n")
    commit = (await worker.commit(attempt("api", "two", 2))).commit
    later = await worker.ensure(attempt("api", "three"), sync="main", builds_on=tip)
    assert (later.base, later.worktree.head_commit) == (pb.BaseTakenIn(commit=tip), commit)


async def test_only_own_work_is_left_after_needs_and_syncs(worker: Worker) -> None:
    """Whatever an epic took in, in whatever order, its own work is the difference to one commit; also after a rewind."""
    other = await accepted(worker, "ui", {"ui.txt": "ui\n"})
    first = await accepted(worker, "api", {"api.txt": "api\n"})
    on_main(worker, {"main.txt": "1\n"})
    both = await worker.ensure(TWO, needed=[other], sync="main")
    assert own(worker, both.taken_in) == ["api.txt"]
    second = await accepted(worker, "api", {"two.txt": "two\n"}, "two")
    tip = on_main(worker, {"main.txt": "2\n"})
    three = attempt("api", "three")
    ensured = await worker.ensure(three, needed=[other], sync="main")
    assert own(worker, ensured.taken_in) == ["api.txt", "two.txt"]
    assert tip in worker.git("rev-list", BRANCH)
    merged = (await worker.merge(BRANCH, "heddle/r1/merged", create_at="main", squash=True)).merged
    assert tip in worker.git("rev-list", merged.commit)
    back = await worker.ensure(attempt("api", "three", 2), rewind_to=f"{second}^")
    assert own(worker, back.taken_in) == ["api.txt"]
    begun = await worker.ensure(attempt("api", "three", 3), rewind_to=first)
    assert own(worker, begun.taken_in) == ["api.txt"]
    synced = await worker.ensure(attempt("api", "three", 4), sync="main")
    assert own(worker, synced.taken_in) == ["api.txt"]


async def test_an_agent_that_merged_the_branch_is_understood(worker: Worker) -> None:
    """Its merge counts: nothing is merged a second time, and the epic's own work is the difference to it."""
    path = await worker.ready(attempt())
    (path / "api.txt").write_text("api\n")
    tip = on_main(worker, {"main.txt": "main\n"})
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "Mine")
    git(path, "merge", "--quiet", "--no-edit", "main")
    done = await worker.commit(attempt())
    assert done.merged_commit == tip
    ensured = await worker.ensure(TWO, sync="main")
    assert (ensured.base.commit, ensured.worktree.head_commit) == (tip, done.commit)
    assert own(worker, ensured.taken_in) == ["api.txt"]


async def test_a_conflict_waits_for_a_person(worker: Worker, tmp_path: Path) -> None:
    """Nothing moves, and the error names the files and commands; a merge by hand resolves it."""
    head = await accepted(worker, "api", {"shared.txt": "api\n"})
    tip = on_main(worker, {"shared.txt": "main\n"})
    error = await refused(worker.ensure(TWO, sync="main"))
    assert error.reason == pb.ERROR_REASON_SYNC_CONFLICT
    assert error.metadata == {"files": "shared.txt", "commit": tip}
    assert f"git merge {tip}" in error.message
    assert worker.git("rev-parse", BRANCH).strip() == head
    folder = tmp_path / "by-hand"
    worker.git("worktree", "add", "--quiet", "--detach", str(folder), BRANCH)
    git(folder, "merge", "--quiet", "--strategy-option=ours", "--no-edit", tip)
    git(folder, "update-ref", f"refs/heads/{BRANCH}", "HEAD")
    ensured = await worker.ensure(attempt("api", "two", 2), sync="main")
    assert ensured.base.commit == tip
    assert ensured.worktree.head_commit == git(folder, "rev-parse", "HEAD").strip()
    assert own(worker, ensured.taken_in) == ["shared.txt"]


async def test_an_agent_resolves_a_conflict(worker: Worker) -> None:
    """Its worktree has conflict markers, and its commit has both sides. A conflict with needed work comes first."""
    other = await accepted(worker, "ui", {"ui.txt": "ui\n", "shared.txt": "ui\n"})
    await accepted(worker, "api", {"ui.txt": "api\n", "shared.txt": "api\n"})
    tip = on_main(worker, {"shared.txt": "main\n"})
    ensured = await worker.ensure(TWO, needed=[other], sync="main", resolve=True)
    assert not ensured.HasField("base")
    path = Path(ensured.worktree.path)
    (path / "ui.txt").write_text("both\n")
    (path / "shared.txt").write_text("both\n")
    await worker.commit(TWO)
    three = attempt("api", "three")
    ensured = await worker.ensure(three, sync="main", resolve=True)
    assert ensured.base == pb.BaseTakenIn(commit=tip, commit_count=1, conflicts=True)
    assert list(ensured.conflict_files) == ["shared.txt"]
    assert "<<<<<<<" in (path / "shared.txt").read_text()
    (path / "shared.txt").write_text("all\n")
    commit = (await worker.commit(three)).commit
    assert tip in worker.git("rev-list", commit)


async def test_a_branch_that_cannot_be_taken_in_is_left(worker: Worker) -> None:
    """One that was rewritten or removed, or has nothing in common with the epic, stops no task."""
    base = worker.git("rev-parse", "main").strip()
    head = await accepted(worker, "api", {"api.txt": "api\n"})
    lost = on_main(worker, {"main.txt": "lost\n"})
    worker.git("reset", "--quiet", "--hard", base)
    on_main(worker, {"main.txt": "rewritten\n"})
    for number, (branch, known, problem) in enumerate(
        [
            ("main", lost, f"main was rewritten: it no longer contains {lost[:10]}"),
            ("gone", base, "the branch gone no longer exists"),
            ("unrelated", "", "unrelated and the epic have no commit in common"),
        ],
        1,
    ):
        if branch == "unrelated":
            tree = worker.git("rev-parse", "main^{tree}").strip()
            worker.git("branch", branch, worker.git("commit-tree", tree, "-m", "New").strip())
        ensured = await worker.ensure(attempt("api", "two", number), sync=branch, builds_on=known)
        assert ensured.base.problem.startswith(problem)
        assert (ensured.base.commit, ensured.worktree.head_commit) == ("", head)
    back = await worker.ensure(attempt("api", "two", 4), sync="main", builds_on=base)
    assert (back.base.commit_count, back.base.problem) == (1, "")


async def test_new_commits_are_counted(worker: Worker) -> None:
    """For each set of commits, how many of the branch it lacks; none for a branch that does not exist."""
    base = worker.git("rev-parse", "main").strip()
    head = await accepted(worker, "api", {"api.txt": "api\n"})
    tip = on_main(worker, {"main.txt": "main\n"})
    held = [pb.CommitSet(commits=each) for each in ([base], [head], [head, tip], ["f" * 40])]
    request = pb.CountNewCommitsRequest(project=worker.name, branch="main", held=held)
    answer = await worker.stub.CountNewCommits(request)
    all_of = int(worker.git("rev-list", "--count", "main"))
    assert (answer.commit, list(answer.counts)) == (tip, [1, 1, 0, all_of])
    request.branch = "gone"
    assert await worker.stub.CountNewCommits(request) == pb.CountNewCommitsResponse()
