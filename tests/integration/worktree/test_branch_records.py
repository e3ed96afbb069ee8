"""If a user deletes, moves or checks out one of Heddle's branches during a run, nothing is lost."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused
from worktree_svc.projects import branch_records

MERGED = "heddle/r1/merged"

Merge = Callable[[Worker, str], Awaitable[object]]


async def accept(worker: Worker, epic: str) -> str:
    """Accepts a task of an epic that writes a file named after it; returns the epic's branch."""
    path = await worker.ready(attempt(epic))
    (path / epic).write_text(f"{epic}\n")
    await worker.commit(attempt(epic))
    return f"heddle/r1/epics/{epic}"


def files(worker: Worker, branch: str = MERGED) -> set[str]:
    return set(worker.git("ls-tree", "-r", "--name-only", branch).splitlines())


async def merge_one_by_one(worker: Worker, source: str) -> pb.MergeBranchResponse:
    return await worker.merge(source, MERGED, "main")


async def merge_as_batch(worker: Worker, source: str) -> pb.CloseMergeResponse:
    request = pb.OpenMergeRequest(
        project=worker.name,
        epoch=1,
        run="runs/r1",
        sources=[pb.MergeSource(branch=source, resource="runs/r1/epics/api")],
        target_branch=MERGED,
        create_target_at="main",
    )
    opened = await worker.stub.OpenMerge(request)
    move = pb.CloseMergeRequest(
        project=worker.name,
        epoch=1,
        run="runs/r1",
        target_branch=MERGED,
        target_commit=opened.target_commit,
        commit=opened.commit,
        apply=True,
    )
    return await worker.stub.CloseMerge(move)


@pytest.mark.parametrize("merge", [merge_one_by_one, merge_as_batch])
async def test_a_deleted_branch_comes_back(worker: Worker, merge: Merge) -> None:
    """A run's branch that was deleted, also with its reflog, continues from the merged commit; so does an epic's."""
    await merge(worker, await accept(worker, "one"))
    second = await accept(worker, "two")
    worker.git("branch", "--delete", "--force", MERGED)
    worker.git("update-ref", "-d", f"refs/heads/{second}")
    await merge(worker, second)
    assert {"one", "two"} <= files(worker)
    worker.git("branch", "--delete", "--force", MERGED)
    worker.git("switch", "--quiet", "--detach")
    await worker.merge(MERGED, "main")
    assert {"one", "two"} <= files(worker, "main")


async def test_a_repeated_merge_restores_a_lost_record(worker: Worker) -> None:
    """A merge that changes nothing still writes where the branch is, so that its deletion loses nothing later."""
    source = await accept(worker, "one")
    await worker.merge(source, MERGED, "main")
    merged = worker.git("rev-parse", MERGED)
    record = branch_records.record_of(MERGED)
    assert record is not None
    worker.git("update-ref", "-d", record)
    assert (await worker.merge(source, MERGED, "main")).merged.already
    assert worker.git("rev-parse", record) == merged
    worker.git("branch", "--delete", "--force", MERGED)
    await worker.merge(source, MERGED, "main")
    assert worker.git("rev-parse", MERGED) == merged


async def test_a_branch_that_its_user_moved_on_keeps_that(worker: Worker, tmp_path: Path) -> None:
    """Commits of the user on a run's branch stay in it, and are restored if it is deleted later."""
    await merge_one_by_one(worker, await accept(worker, "one"))
    folder = tmp_path / "look"
    worker.git("worktree", "add", "--quiet", str(folder), MERGED)
    (folder / "mine").write_text("mine\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Mine")
    second = await accept(worker, "two")
    error = await refused(merge_one_by_one(worker, second))
    assert error.reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT
    assert str(folder) in error.message
    git(folder, "switch", "--quiet", "--detach")
    await merge_one_by_one(worker, second)
    assert {"one", "mine", "two"} <= files(worker)
    worker.git("branch", "--delete", "--force", MERGED)
    await merge_one_by_one(worker, await accept(worker, "three"))
    assert {"one", "mine", "two", "three"} <= files(worker)


@pytest.mark.parametrize("merge", [merge_one_by_one, merge_as_batch])
async def test_a_branch_that_lost_something_is_noticed(worker: Worker, merge: Merge) -> None:
    """If a branch lost accepted commits, nothing is merged until it is moved back as the error says."""
    first, second = await accept(worker, "one"), await accept(worker, "two")
    await merge(worker, first)
    before = worker.git("rev-parse", MERGED)
    for branch in (MERGED, second):
        kept = worker.git("rev-parse", branch)
        worker.git("update-ref", f"refs/heads/{branch}", "main")
        error = await refused(merge(worker, second))
        assert error.reason == pb.ERROR_REASON_BRANCH_DIVERGED
        assert branch in error.message
        worker.git("update-ref", f"refs/heads/{branch}", kept)
    assert worker.git("rev-parse", MERGED) == before
    await merge(worker, second)
    assert {"one", "two"} <= files(worker)


async def test_an_epics_branch_under_a_checkout_stays(worker: Worker, tmp_path: Path) -> None:
    """A branch that the user checked out after its worktree's removal is not used until that checkout ends."""
    branch = await accept(worker, "one")
    await worker.remove("runs/r1/epics/one")
    folder = tmp_path / "look"
    worker.git("worktree", "add", "--quiet", str(folder), branch)
    again = attempt("one", number=2)
    error = await refused(worker.ensure(again))
    assert error.reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT
    assert str(folder) in error.message
    git(folder, "switch", "--quiet", "--detach")
    assert (await worker.ready(again) / "one").exists()
