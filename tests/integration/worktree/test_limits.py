"""Limits of what one call takes: what is exactly at it is accepted or told, and one more is not."""

from pathlib import Path

import pytest

from heddle import pb
from tests.support.worktrees import Worker, attempt, refused


@pytest.mark.parametrize(("count", "accepted"), [(3, True), (4, False)])
async def test_number_of_new_files(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, count: int, accepted: bool
) -> None:
    """A task may add as many files as allowed; with one more, its change is refused and kept."""
    monkeypatch.setattr("worktree_svc.content.acceptance.MAX_NEW_FILES", 3)
    path = await worker.ready(attempt())
    for number in range(count):
        (path / f"new-{number}.txt").write_text(f"{number}\n")
    if accepted:
        assert (await worker.commit(attempt())).diff_stat.files == count
    else:
        error = await refused(worker.commit(attempt()))
        assert error.reason == pb.ERROR_REASON_CHANGE_REFUSED
        assert "it adds 4 files, more than 3, for example new-0.txt" in error.message
        assert (path / "new-3.txt").exists()


@pytest.mark.parametrize(("count", "named"), [(20, 20), (21, 20)])
async def test_number_of_changed_files_of_a_checkout(worker: Worker, count: int, named: int) -> None:
    """Of the changed files of the user's checkout, the first twenty are named."""
    for number in range(count):
        (worker.project / f"f{number:02}").write_text("x\n")
    worker.git("add", "--all")
    assert list((await worker.inspect()).dirty_files) == [f"f{number:02}" for number in range(named)]


@pytest.mark.parametrize(("count", "accepted"), [(2, True), (3, False)])
async def test_number_of_copied_files(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, count: int, accepted: bool
) -> None:
    """A project file may name as many files to copy as allowed; with one more, it is refused."""
    monkeypatch.setattr("worktree_svc.projects.provisions.MOST_FILES", 2)
    (worker.project / ".git" / "info" / "exclude").write_text("*.env\n")
    for number in range(count):
        (worker.project / f"{number}.env").write_text("x\n")
    file = pb.ProjectFile(copy=["*.env"])
    if accepted:
        path = Path((await worker.ensure(attempt(), file=file)).worktree.path)
        assert len(list(path.glob("*.env"))) == count
    else:
        error = await refused(worker.ensure(attempt(), file=file))
        assert error.reason == pb.ERROR_REASON_INVALID_PROJECT_FILE
        assert "more than 2 files would be copied" in error.message


@pytest.mark.parametrize(
    ("asked", "shown"), [(0, 2), (1, 1), (2, 2), (3, 3), (4, 3)], ids=["default", "1", "2", "most", "beyond"]
)
async def test_size_of_a_page_of_worktrees(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, asked: int, shown: int
) -> None:
    """A page has as many worktrees as asked for, up to the most; the next begins after its last."""
    monkeypatch.setattr("worktree_svc.servicer.DEFAULT_PAGE", 2)
    monkeypatch.setattr("worktree_svc.servicer.LARGEST_PAGE", 3)
    for epic in "abcd":
        await worker.ready(attempt(epic))
    page = await worker.stub.ListWorktrees(pb.ListWorktreesRequest(page_size=asked))
    assert [each.epic[-1] for each in page.worktrees] == list("abcd"[:shown])
    rest = await worker.stub.ListWorktrees(
        pb.ListWorktreesRequest(page_size=3, page_token=page.next_page_token)
    )
    assert [each.epic[-1] for each in rest.worktrees] == list("abcd"[shown : shown + 3])
