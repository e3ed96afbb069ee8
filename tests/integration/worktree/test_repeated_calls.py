"""A repeated call with other content changes nothing: the first one counts."""

from pathlib import Path

import pytest

from heddle import pb
from tests.integration.worktree.test_open_merges import TARGET, branch, close, request, work
from tests.support.worktrees import Worker, attempt

EPIC = "heddle/r1/epics/api"
MERGED = "heddle/r1/merged"


async def accepted(worker: Worker) -> pb.CommitTaskResponse:
    """Returns the answer for the accepted task of one epic."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    return await worker.commit(attempt(), "First", "The first body")


async def test_the_first_base_of_an_attempt_counts(worker: Worker) -> None:
    """The same attempt with another base, or work to continue from, gets its worktree as it is."""
    first = await worker.ensure(attempt())
    path = Path(first.worktree.path)
    (path / "work.txt").write_text("in progress\n")
    before = worker.git("-C", str(path), "rev-parse", "HEAD")
    worker.git("commit", "--quiet", "--allow-empty", "--message=Later")
    again = await worker.ensure(attempt(), base=worker.git("rev-parse", "HEAD"), earlier=attempt(number=7))
    assert (first.created, again.created) == (True, False)
    assert again.worktree.path == first.worktree.path
    assert worker.git("-C", str(path), "rev-parse", "HEAD") == before
    assert (path / "work.txt").read_text() == "in progress\n"


async def test_the_first_commit_of_an_attempt_counts(worker: Worker) -> None:
    """A second commit with another message, and with later changes, returns the first one and makes none."""
    first = await accepted(worker)
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("other\n")
    assert await worker.commit(attempt(), "Second", "Another body") == first
    assert worker.git("log", "-1", "--format=%s", EPIC) == "First"
    assert worker.git("rev-list", "--count", f"main..{EPIC}") == "1"
    assert worker.git("show", f"{EPIC}:a.txt") == "a"


@pytest.mark.parametrize("squash", [False, True])
async def test_the_first_merge_of_a_branch_counts(worker: Worker, squash: bool) -> None:
    """A second merge of the same branch, in another style and for another epic, leaves the target."""
    await accepted(worker)
    first = (await worker.merge(EPIC, MERGED, "main", "runs/r1/epics/api", squash=squash)).merged
    again = (await worker.merge(EPIC, MERGED, "main", "runs/r1/epics/other", squash=not squash)).merged
    assert (first.already, again.already) == (False, True)
    assert again.commit == first.commit == worker.git("rev-parse", MERGED)


async def test_the_first_end_of_a_merge_counts(worker: Worker) -> None:
    """Once the target has moved, the end of another merge that began before does not move it."""
    await work(worker, "one", one="1\n")
    await work(worker, "two", two="2\n")
    first = await worker.stub.OpenMerge(request(worker, "one"))
    second = await worker.stub.OpenMerge(request(worker, "two"))
    assert first.target_commit == second.target_commit
    assert await close(worker, first, apply=True)
    assert not await close(worker, second, apply=True)
    assert await close(worker, first, apply=True)
    assert worker.git("rev-parse", TARGET) == first.commit


async def test_the_last_open_merge_of_a_run_counts(worker: Worker) -> None:
    """Another merge of the same run replaces the one that is open, of which nothing is left."""
    await work(worker, "one", one="1\n")
    await work(worker, "two", two="2\n")
    first = await worker.stub.OpenMerge(request(worker, "one"))
    second = await worker.stub.OpenMerge(request(worker, "two"))
    assert not (Path(second.path) / "one.txt").exists()
    assert [part.branch for part in second.merged] == [branch("two")]
    assert not await close(worker, second, apply=False)
    assert not Path(first.path).exists()
    assert not Path(second.path).exists()
    assert not worker.git("branch", "--list", TARGET)


async def test_a_worktree_is_archived_once(worker: Worker) -> None:
    """A second removal finds no worktree and returns the archive of the first one, which is not changed."""
    await accepted(worker)
    path = await worker.ready(attempt("api", "two"))
    (path / "b.txt").write_text("b\n")
    first = await worker.remove("runs/r1/epics/api")
    again = await worker.remove("runs/r1/epics/api")
    assert (first.removed, again.removed) == (True, False)
    assert (
        again.archive_commit == first.archive_commit == worker.git("rev-parse", "refs/heddle/archive/r1/api")
    )


async def test_a_second_release_leaves_the_lease_of_another_epic(worker: Worker) -> None:
    """Releasing an epic again, after another epic got its slot and ports, takes nothing from that one."""
    file = pb.ProjectFile(ports=2)
    release = pb.ReleaseLeaseRequest(epic="runs/r1/epics/api", epoch=1)
    first = (await worker.ensure(attempt(), file=file)).worktree.lease
    await worker.stub.ReleaseLease(release)
    second = (await worker.ensure(attempt("ui"), file=file)).worktree.lease
    assert second == first
    await worker.stub.ReleaseLease(release)
    third = (await worker.ensure(attempt("docs"), file=file)).worktree.lease
    assert third.slot != second.slot
    assert not set(third.ports) & set(second.ports)
    assert (await worker.ensure(attempt("ui"), file=file)).worktree.lease == second
    await worker.stub.ReleaseLease(pb.ReleaseLeaseRequest(epic="runs/r1/epics/unknown", epoch=1))
    assert (await worker.ensure(attempt("docs"), file=file)).worktree.lease == third
