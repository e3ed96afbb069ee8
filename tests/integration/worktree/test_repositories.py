"""Repositories with unusual setups."""

import os
import stat

import pytest

from heddle import pb
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused


async def test_a_moved_branch_of_the_user_has_a_line_in_its_log(worker: Worker) -> None:
    """The reflog of merge_into has its commit before Heddle moved it; Heddle's own branches get no reflog."""
    git(worker.project, "branch", "--create-reflog", "target", "main")
    before = git(worker.project, "rev-parse", "target")
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    await worker.commit(attempt())
    merged = (await worker.merge("heddle/r1/epics/api", "target")).merged
    log = git(worker.project, "reflog", "show", "--format=%H %gs", "target").splitlines()
    assert log[0].startswith(f"{merged.commit} heddle: ")
    assert git(worker.project, "rev-parse", "target@{1}") == before
    assert not (worker.project / ".git" / "logs" / "refs" / "heads" / "heddle").exists()


async def test_a_shared_repository_stays_shared(worker: Worker) -> None:
    """With core.sharedRepository=group, the group can use objects and refs that Heddle writes."""
    git(worker.project, "config", "core.sharedRepository", "group")
    objects = worker.project / ".git" / "objects"
    before = set(objects.iterdir())
    mask = os.umask(0o077)
    try:
        path = await worker.ready(attempt())
        (path / "a.txt").write_text("a\n")
        commit = (await worker.commit(attempt())).commit
    finally:
        os.umask(mask)
    written = objects / commit[:2] / commit[2:]
    # Of a folder that git had made before, the mode stays. Those of the new file and tree are new.
    made = set(objects.iterdir()) - before
    assert made
    ref = worker.project / ".git" / "refs" / "heads" / "heddle" / "r1" / "epics" / "api"
    assert stat.S_IMODE(written.stat().st_mode) & 0o040
    for each in (*made, ref, ref.parent):
        assert stat.S_IMODE(each.stat().st_mode) & 0o060 == 0o060, each


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tfuture = true\n", "future"),
        ("[core]\n\trepositoryformatversion = 9\n", "repo version"),
        ("[core\n", "bad config line"),
    ],
)
async def test_a_repository_that_git_cannot_read_is_reported_with_its_message(
    worker: Worker, setting: str, message: str
) -> None:
    """The error names the broken configuration or extension, and does not advise creating a repository."""
    config = worker.project / ".git" / "config"
    good = config.read_text()
    config.write_text(good + setting)
    error = await refused(worker.inspect(str(worker.project)))
    assert error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY
    assert message in error.message
    assert "git init" not in error.message
    assert f"git -C {worker.project} status" in error.message
    config.write_text(good)
    await worker.inspect(str(worker.project))


async def test_a_path_with_unusual_characters(worker: Worker) -> None:
    """A repository's path may contain characters that look like line breaks; a real line break is refused."""
    odd = worker.project.with_name("odd\x0b\u2028name")
    worker.project.rename(odd)
    assert (await worker.inspect(str(odd))).project == str(odd)
    assert "line break" in (await refused(worker.inspect(f"{odd}\n"))).message
    odd.rename(worker.project)
