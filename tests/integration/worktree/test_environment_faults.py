"""A repository that is temporarily missing or damaged is not the fault of an attempt."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from tests.support.repositories import fast_import, git, make_repository
from tests.support.worktrees import Worker, attempt, refused
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.projects import environment_faults


async def test_a_repository_that_is_away(worker: Worker) -> None:
    """If the repository is moved, empty or without refs, each call says so; once it is back, work continues."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    away = worker.project.with_name("away")

    async def refuses() -> None:
        for call in (worker.ensure(attempt("other")), worker.commit(attempt()), worker.discard(attempt("x"))):
            error = await refused(call)
            assert (error.reason, error.metadata["project"]) == (
                pb.ERROR_REASON_PROJECT_UNAVAILABLE,
                str(worker.project),
            ), error.message

    worker.project.rename(away)
    await refuses()
    worker.project.mkdir()
    await refuses()
    worker.project.rmdir()
    away.rename(worker.project)
    refs = worker.project / ".git" / "refs"
    refs.rename(refs.with_name("refs-away"))
    await refuses()
    shutil.rmtree(refs, ignore_errors=True)
    refs.with_name("refs-away").rename(refs)
    commit = (await worker.commit(attempt())).commit
    assert worker.git("show", "--format=", "--name-only", commit) == "a.txt"
    merged = await worker.merge("heddle/r1/epics/api", "heddle/r1/merged", commit)
    assert merged.merged.commit
    worker.project.rename(away)
    error = await refused(worker.merge("heddle/r1/epics/api", "heddle/r1/merged"))
    assert error.reason == pb.ERROR_REASON_PROJECT_UNAVAILABLE
    away.rename(worker.project)


async def test_a_path_that_never_was_a_repository_is_an_error_of_the_caller(worker: Worker) -> None:
    """Only a repository that existed before is waited for: a run on a wrong path is refused immediately."""
    assert (
        await refused(worker.inspect(f"{worker.project}-wrong"))
    ).reason == pb.ERROR_REASON_NOT_A_REPOSITORY


async def test_unrelated_histories(worker: Worker) -> None:
    """A target without a common commit is an error with the command that joins them; no ref moves."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    await worker.commit(attempt())
    fast_import(worker.project, "island", {"b.txt": "b\n"})
    before = git(worker.project, "rev-parse", "island")
    error = await refused(worker.merge("heddle/r1/epics/api", "island"))
    assert "--allow-unrelated-histories" in error.message
    assert git(worker.project, "rev-parse", "island") == before


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "x"), pb.ERROR_REASON_PROJECT_UNAVAILABLE),
        (OSError(errno.EIO, os.strerror(errno.EIO), "x"), pb.ERROR_REASON_PROJECT_UNAVAILABLE),
        (
            HeddleError(pb.ERROR_REASON_GIT_FAILED, "git failed: 'refs': Read-only file system"),
            pb.ERROR_REASON_PROJECT_UNAVAILABLE,
        ),
        (HeddleError(pb.ERROR_REASON_GIT_FAILED, "git failed: bad object"), pb.ERROR_REASON_GIT_FAILED),
        (HeddleError(pb.ERROR_REASON_STALE_EPOCH, "Read-only file system"), pb.ERROR_REASON_STALE_EPOCH),
        (HeddleError(pb.ERROR_REASON_DISK_FULL, "full"), pb.ERROR_REASON_DISK_FULL),
    ],
)
def test_system_errors_are_classified(
    tmp_path: Path, raised: Exception, reason: "pb.ErrorReason.ValueType"
) -> None:
    """A read-only or broken disk is an environment fault; an error of git or of the caller is not."""
    repository = make_repository(tmp_path / "repository")
    with (
        pytest.raises(HeddleError) as caught,
        environment_faults.as_project_unavailable(PrivateFolders(tmp_path / "p"), str(repository)),
    ):
        raise raised
    assert caught.value.reason == reason


def test_other_errors_of_the_system_stay(tmp_path: Path) -> None:
    """A file that an agent made unreadable is not mistaken for a missing repository."""
    repository = make_repository(tmp_path / "repository")
    with (
        pytest.raises(PermissionError),
        environment_faults.as_project_unavailable(PrivateFolders(tmp_path / "p"), str(repository)),
    ):
        raise PermissionError(errno.EACCES, "Permission denied", "secret.txt")
