"""Work that is committed for reviews, and accepted after them exactly as it was."""

import shutil
from pathlib import Path

from heddle import pb
from heddle.names import AttemptName
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

WORK, REVIEW, REWORK = attempt(), attempt(number=2), attempt(number=3)
EPIC = "heddle/r1/epics/api"


async def submit(worker: Worker, name: AttemptName, continued: str = "") -> pb.CommitTaskResponse:
    request = pb.CommitTaskRequest(
        project=worker.name,
        attempt=str(name),
        epoch=worker.epoch,
        subject="Work",
        submit=True,
        continued_commit=continued,
    )
    return await worker.stub.CommitTask(request)


def accepting(worker: Worker, name: AttemptName, commit: str, owner: AttemptName) -> pb.CommitTaskRequest:
    return pb.CommitTaskRequest(
        project=worker.name,
        attempt=str(name),
        epoch=worker.epoch,
        submitted_commit=commit,
        owner_attempt=str(owner),
    )


async def test_submitted_work_is_accepted_unchanged(worker: Worker) -> None:
    """No branch moves before the review ends. Its files are in the reviewer's worktree, whose changes do not count."""
    path = await worker.ready(WORK)
    (path / "new.txt").write_text("work\n")
    done = await submit(worker, WORK)
    assert await submit(worker, WORK) == done
    base = worker.git("rev-parse", "main")
    assert worker.git("rev-parse", EPIC) == base
    assert worker.git("rev-parse", done.kept_ref) == done.commit
    assert (done.diff_stat.files, done.diff_stat.insertions) == (1, 1)

    ensured = await worker.ensure(REVIEW, earlier=WORK)
    path = Path(ensured.worktree.path)
    assert ensured.continued
    assert (path / "new.txt").read_text() == "work\n"
    assert git(path, "diff", "--stat", f"{done.commit}^", done.commit).lstrip().startswith("new.txt")
    (path / "new.txt").write_text("spoiled\n")
    (path / "notes.txt").write_text("a reviewer's\n")

    request = accepting(worker, WORK, done.commit, REVIEW)
    accepted = await worker.stub.CommitTask(request)
    assert (accepted.commit, accepted.diff_stat, accepted.kept_ref) == (done.commit, done.diff_stat, "")
    assert (await worker.stub.CommitTask(request)).commit == done.commit
    assert worker.git("rev-parse", EPIC) == done.commit

    following = attempt(task="two")
    ensured = await worker.ensure(following)
    # What the reviewer wrote is kept as the reviewer's, and does not count as found changes.
    assert not ensured.HasField("found")
    assert (Path(ensured.worktree.path) / "new.txt").read_text() == "work\n"
    assert not (Path(ensured.worktree.path) / "notes.txt").exists()


async def test_a_lost_worktree_is_lost_for_every_commit(worker: Worker) -> None:
    """Work that is committed, submitted or accepted in a worktree that is not known has the same error; nothing moves."""
    path = await worker.ready(WORK)
    (path / "new.txt").write_text("work\n")
    done = await submit(worker, WORK)
    await worker.ensure(REVIEW, earlier=WORK)
    shutil.rmtree(path.parent)
    for call in (
        worker.stub.CommitTask(accepting(worker, WORK, done.commit, REVIEW)),
        submit(worker, REVIEW),
        worker.commit(REVIEW),
    ):
        error = await refused(call)
        assert error.reason == pb.ERROR_REASON_WORKTREE_LOST
        assert "another attempt makes it again" in error.message
    assert worker.git("rev-parse", EPIC) == worker.git("rev-parse", "main")
    await worker.ensure(REWORK)


async def test_rejected_work_continues_without_what_the_reviewer_wrote(worker: Worker) -> None:
    """The next attempt has the submitted files; its commit is one on top of the base, and still has the merge."""
    path = await worker.ready(WORK)
    base = git(path, "rev-parse", "HEAD")
    Path(worker.project, "README.md").write_text("# Theirs\n")
    worker.git("commit", "--quiet", "--all", "--message", "Theirs")
    main = worker.git("rev-parse", "main")
    (path / "own.txt").write_text("own\n")
    git(path, "merge", "--quiet", "--no-edit", "main")
    rejected = await submit(worker, WORK)
    path = Path((await worker.ensure(REVIEW, earlier=WORK)).worktree.path)
    (path / "own.txt").write_text("spoiled\n")

    ensured = await worker.ensure(REWORK, earlier=WORK)
    assert ensured.continued
    path = Path(ensured.worktree.path)
    assert (path / "own.txt").read_text() == "own\n"
    (path / "own.txt").write_text("own, fixed\n")
    fixed = await submit(worker, REWORK, continued=rejected.commit)
    assert fixed.commit != rejected.commit
    assert worker.git("log", "-1", "--format=%P", fixed.commit).split() == [base, main]
    assert worker.git("show", f"{fixed.commit}:own.txt") == "own, fixed"


async def test_only_the_epics_own_newest_work_is_accepted(worker: Worker) -> None:
    """A commit of another attempt, or on another base, is refused; nothing moves."""
    path = await worker.ready(WORK)
    (path / "new.txt").write_text("work\n")
    done = await submit(worker, WORK)
    await worker.ensure(REVIEW, earlier=WORK)
    foreign = worker.git("commit-tree", "main^{tree}", "-p", "main", "-m", "Foreign")
    base = worker.git("rev-parse", "main")
    error = await refused(worker.stub.CommitTask(accepting(worker, WORK, foreign, REVIEW)))
    assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT
    error = await refused(worker.stub.CommitTask(accepting(worker, WORK, done.commit, WORK)))
    assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT
    assert worker.git("rev-parse", EPIC) == base
    # Another task was accepted meanwhile.
    other = await worker.ready(attempt(task="two"))
    (other / "two.txt").write_text("two\n")
    head = (await worker.commit(attempt(task="two"))).commit
    await worker.ensure(REWORK, earlier=WORK)
    error = await refused(worker.stub.CommitTask(accepting(worker, WORK, done.commit, REWORK)))
    assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT
    assert worker.git("rev-parse", EPIC) == head
