"""Uncommitted work of a removed worktree is archived and can be restored."""

import asyncio
import os
from pathlib import Path

import grpc
import pytest

from heddle import pb
from heddle.files.worktree_paths import git_folder_of
from tests.support import worktrees
from tests.support.fleet import Fleet
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, fingerprint, refused

EPIC = "runs/r1/epics/api"
ARCHIVE = "refs/heddle/archive/r1/api"


@pytest.fixture
async def accepted(worker: Worker) -> Path:
    """The worktree of an epic with one accepted task."""
    path = await worker.ready(attempt())
    (path / "one.txt").write_text("one\n")
    await worker.commit(attempt())
    return path


async def listed(worker: Worker, *, look: bool = True) -> list[pb.Worktree]:
    request = pb.ListWorktreesRequest(run="runs/r1", look=look)
    return list((await worker.stub.ListWorktrees(request)).worktrees)


def spoil(path: Path) -> None:
    """Leaves every kind of uncommitted work in a worktree."""
    (path / "README.md").write_text("# Changed\n")
    (path / "src" / "app.py").unlink()
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "new").mkdir()
    (path / "new" / "link").symlink_to("../README.md")
    (path / "cache").mkdir()
    (path / "cache" / "big").write_text("ignored\n")
    git(path, "add", "README.md")


STATUS = ["?? new/", "?? run.sh", "D src/app.py", "M README.md"]


def status(path: Path) -> list[str]:
    return sorted(line.strip() for line in git(path, "status", "--porcelain").splitlines())


async def test_a_worktree_comes_back_as_it_was(worker: Worker, accepted: Path) -> None:
    """Changes, deletions, new files, modes and links are restored as uncommitted; ignored files are lost."""
    head = worker.git("rev-parse", "heddle/r1/epics/api")
    spoil(accepted)
    before = fingerprint(worker.project)
    index = (git_folder_of(accepted) / "index").read_bytes()
    assert [each.dirty for each in await listed(worker)] == [True]
    assert (git_folder_of(accepted) / "index").read_bytes() == index
    removed = await worker.remove(EPIC)
    assert removed.archive_commit == worker.git("rev-parse", ARCHIVE)
    assert worker.git("rev-parse", f"{ARCHIVE}^") == head
    assert not accepted.exists()
    assert await listed(worker) == []
    restored = await worker.restore(EPIC)
    assert (restored.worktree.path, restored.archive_commit) == (str(accepted), removed.archive_commit)
    assert status(accepted) == STATUS
    assert git(accepted, "branch", "--show-current") == "heddle/r1/epics/api"
    assert git(accepted, "rev-parse", "HEAD") == head
    assert git(accepted, "diff", "--cached", "--name-only") == ""
    assert os.access(accepted / "run.sh", os.X_OK)
    assert (accepted / "new" / "link").is_symlink()
    assert not (accepted / "cache").exists()
    assert fingerprint(worker.project) == before


async def test_a_clean_worktree_is_not_archived(worker: Worker, accepted: Path) -> None:
    """If only ignored files or times differ from the accepted commit, nothing is archived or restorable."""
    (accepted / "cache").mkdir()
    (accepted / "cache" / "big").write_text("ignored\n")
    os.utime(accepted / "README.md", (1, 1))
    (found,) = await listed(worker)
    assert found.HasField("dirty")
    assert not found.dirty
    assert (await worker.remove(EPIC)).archive_commit == ""
    error = await refused(worker.restore(EPIC))
    assert error.reason == pb.ERROR_REASON_NOT_FOUND
    assert EPIC in error.message


async def test_own_commits_are_archived_too(worker: Worker, accepted: Path) -> None:
    """Commits that were made in the worktree are restored as commits, even if the branch was moved back."""
    head = worker.git("rev-parse", "HEAD:README.md"), worker.git("rev-parse", "heddle/r1/epics/api")
    (accepted / "own.txt").write_text("own\n")
    git(accepted, "add", "own.txt")
    git(accepted, "commit", "--quiet", "--message", "Own work")
    own = git(accepted, "rev-parse", "HEAD")
    (accepted / "own.txt").write_text("more\n")
    await worker.remove(EPIC)
    assert worker.git("rev-parse", "heddle/r1/epics/api") == head[1]
    await worker.restore(EPIC)
    assert git(accepted, "rev-parse", "HEAD") == own
    assert status(accepted) == ["M own.txt"]


async def test_asked_twice_done_once(worker: Worker, accepted: Path) -> None:
    """A second RestoreWorktree keeps later changes; it is refused once an attempt owns a worktree."""
    spoil(accepted)
    await worker.remove(EPIC)
    await worker.restore(EPIC)
    (accepted / "since.txt").write_text("since\n")
    await worker.restore(EPIC)
    assert (accepted / "since.txt").exists()
    # The next attempt gets a clean worktree; the restored changes are kept as changes that no attempt made.
    answer = await worker.ensure(attempt(task="two"))
    assert status(accepted) == []
    assert (answer.found.kept_ref, answer.found.after_attempt) == ("refs/heddle/found/r1/api/two/1", "")
    assert worker.git("show", f"{answer.found.kept_ref}:since.txt") == "since"
    error = await refused(worker.restore(EPIC))
    assert error.reason == pb.ERROR_REASON_WRONG_STATE
    assert str(accepted) in error.message


async def test_no_archive_is_lost_to_the_next(worker: Worker, accepted: Path) -> None:
    """An archive after a restore contains the previous one; the same content is not archived twice."""
    (accepted / "a.txt").write_text("a\n")
    first = (await worker.remove(EPIC)).archive_commit
    await worker.restore(EPIC)
    assert (await worker.remove(EPIC)).archive_commit == first
    await worker.restore(EPIC)
    (accepted / "a.txt").write_text("b\n")
    second = (await worker.remove(EPIC)).archive_commit
    assert worker.git("rev-parse", f"{second}^2") == first
    await worker.restore(EPIC)
    assert (accepted / "a.txt").read_text() == "b\n"


async def test_a_branch_that_went_on_is_not_pulled_back(worker: Worker, accepted: Path) -> None:
    """If the branch has commits that are not in the archive, nothing changes; the error says how to view it."""
    (accepted / "a.txt").write_text("a\n")
    await worker.remove(EPIC)
    worker.git("branch", "--force", "heddle/r1/epics/api", "main")
    worker.git("switch", "--quiet", "heddle/r1/epics/api")
    (worker.project / "b.txt").write_text("b\n")
    worker.git("add", "b.txt")
    worker.git("commit", "--quiet", "--message", "Elsewhere")
    error = await refused(worker.restore(EPIC))
    assert error.reason == pb.ERROR_REASON_WRONG_STATE
    assert "diff" in error.message
    worker.git("reset", "--quiet", "--hard", "HEAD^")
    assert (await refused(worker.restore(EPIC))).reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT
    assert not accepted.exists()


async def test_hostile_worktrees_are_archived(worker: Worker, accepted: Path, tmp_path: Path) -> None:
    """With a broken .git, a nested repository and a configured filter, no program runs and nothing is lost."""
    git(worker.project, "config", "filter.evil.clean", f"touch {tmp_path}/ran; cat")
    (accepted / ".gitattributes").write_text("*.txt filter=evil\n")
    (accepted / "a.txt").write_text("a\n")
    (accepted / "inner").mkdir()
    git(accepted / "inner", "init", "--quiet")
    (accepted / "inner" / "b.txt").write_text("b\n")
    (accepted / ".git").unlink()
    (accepted / ".git").write_text("gitdir: /nowhere\n")
    assert [each.dirty for each in await listed(worker)] == [True]
    await worker.remove(EPIC)
    assert worker.git("show", f"{ARCHIVE}:inner/b.txt") == "b"
    await worker.restore(EPIC)
    assert (accepted / "a.txt").read_text() == "a\n"
    assert not (tmp_path / "ran").exists()


async def test_an_old_leader_neither_restores_nor_releases(worker: Worker, accepted: Path) -> None:
    """Calls of a lower epoch are refused."""
    (accepted / "a.txt").write_text("a\n")
    await worker.remove(EPIC)
    worker.epoch = 2
    await worker.ensure(attempt(epic="other"))
    worker.epoch = 1
    assert (await refused(worker.restore(EPIC))).reason == pb.ERROR_REASON_STALE_EPOCH
    release = worker.stub.ReleaseLease(pb.ReleaseLeaseRequest(epic=EPIC, epoch=1))
    assert (await refused(release)).reason == pb.ERROR_REASON_STALE_EPOCH


async def test_a_released_lease_goes_to_another_epic(worker: Worker) -> None:
    """Slot and ports go to another epic while the worktree stays; its next attempt gets new ones."""
    file = pb.ProjectFile(ports=2)
    first = (await worker.ensure(attempt(), file=file)).worktree
    for _ in range(2):
        await worker.stub.ReleaseLease(pb.ReleaseLeaseRequest(epic=EPIC, epoch=1))
    other = (await worker.ensure(attempt(epic="ui"), file=file)).worktree
    assert (other.lease.slot, list(other.lease.ports)) == (first.lease.slot, list(first.lease.ports))
    again = (await worker.ensure(attempt(), file=file)).worktree
    assert again.lease.slot != other.lease.slot
    assert not set(again.lease.ports) & set(other.lease.ports)
    assert again.incarnation == first.incarnation


async def test_disk_use_is_listed(worker: Worker, accepted: Path) -> None:
    """The list has the size of a worktree's files and when it was measured, without the repository's objects."""
    (accepted / "cache").mkdir()
    (accepted / "cache" / "big").write_bytes(os.urandom(3 << 20))
    (found,) = await listed(worker, look=False)
    assert 3 << 20 <= found.disk_bytes < 4 << 20
    assert found.HasField("measure_time")
    assert found.HasField("create_time")
    assert not found.HasField("dirty")


@pytest.mark.parametrize(
    "point",
    ["archive.before_move", "archive.after_state", "restore.before_files", "restore.before_state"],
)
async def test_killed_in_between(tmp_path: Path, project: Path, point: str) -> None:
    """If the service is killed at any step and the call is repeated, no work is lost and the worktree is complete."""
    fleet = Fleet(tmp_path / "home", {"GIT_CONFIG_GLOBAL": "/dev/null"})
    service = "worktree_svc"
    try:
        await fleet.start(service)
        async with worktrees.connected(fleet, project) as worker:
            path = await worker.ready(attempt())
            spoil(path)
            restoring = point.startswith("restore")
            if restoring:
                await worker.remove(EPIC)
            fleet.kill(service)
            process = fleet.spawn(service, {"HEDDLE_FAILPOINT": point})
            call = worker.restore if restoring else worker.remove
            while process.poll() is None:
                try:
                    await call(EPIC)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)  # the service is starting, or was killed by the failpoint
            await fleet.start(service)
            await call(EPIC)
            await worker.restore(EPIC)
            assert status(path) == STATUS
    finally:
        fleet.stop()
