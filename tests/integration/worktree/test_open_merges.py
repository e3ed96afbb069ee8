"""A merge of several branches is checked out to be tested, and the target moves only afterwards."""

import errno
from pathlib import Path

import pytest

from heddle import pb
from tests.support import worktrees
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt, fingerprint, refused
from worktree_svc.storage import files

RUN, TARGET = "runs/r1", "heddle/r1/merged"


def branch(epic: str) -> str:
    return f"heddle/r1/epics/{epic}"


async def work(worker: Worker, epic: str, **files: str | None) -> None:
    """Commits files by their stems; None removes one."""
    path = await worker.ready(attempt(epic))
    for stem, text in files.items():
        file = path / f"{stem}.txt"
        file.write_text(text) if text is not None else file.unlink()
    await worker.commit(attempt(epic))


def request(worker: Worker, *epics: str, known: str = "") -> pb.OpenMergeRequest:
    return pb.OpenMergeRequest(
        project=str(worker.project),
        epoch=1,
        run=RUN,
        sources=[
            pb.MergeSource(branch=branch(epic), resource=f"{RUN}/epics/{epic}", known=epic == known)
            for epic in epics
        ],
        target_branch=TARGET,
        create_target_at="main",
    )


async def close(worker: Worker, opened: pb.OpenMergeResponse, *, apply: bool) -> bool:
    asked = pb.CloseMergeRequest(
        project=str(worker.project),
        epoch=1,
        run=RUN,
        target_branch=TARGET,
        target_commit=opened.target_commit,
        commit=opened.commit,
        apply=apply,
    )
    return (await worker.stub.CloseMerge(asked)).moved


async def test_a_batch_is_laid_out_then_moved(worker: Worker) -> None:
    """Two branches are merged in order; a conflicting third is left out with its regions; the target moves."""
    await work(worker, "one", one="1\n", shared="one\n")
    await work(worker, "two", two="2\n")
    await work(worker, "three", shared="three\n")
    before = fingerprint(worker.project)
    opened = await worker.stub.OpenMerge(request(worker, "one", "two", "three"))
    path = Path(opened.path)
    assert (path / "one.txt").read_text() + (path / "two.txt").read_text() == "1\n2\n"
    assert not worker.git("branch", "--list", TARGET)
    assert fingerprint(worker.project) == before
    assert [part.branch for part in opened.merged] == [branch("one"), branch("two")]
    (left_out,) = opened.conflicting
    (hunk,) = left_out.conflict.hunks
    assert (left_out.branch, hunk.file, hunk.line) == (branch("three"), "shared.txt", 1)
    assert [line[:7] for line in hunk.text.splitlines()] == ["<<<<<<<", "one", "=======", "three", ">>>>>>>"]

    assert await close(worker, opened, apply=True)
    assert worker.git("rev-parse", TARGET) == opened.commit == opened.merged[1].commit
    assert worker.git("log", "--first-parent", "--format=%H", f"main..{TARGET}").splitlines() == [
        part.commit for part in reversed(opened.merged)
    ]
    assert not path.exists()
    assert await close(worker, opened, apply=True)  # called twice, done once
    again = await worker.stub.OpenMerge(request(worker, "one", "two"))
    assert (again.path, again.commit) == ("", opened.commit)
    assert all(part.already for part in again.merged)


async def test_a_target_that_moved_stays_where_it_went(worker: Worker) -> None:
    """Someone else's commit on the target is not lost: no ref moves, and the worktree is removed."""
    await work(worker, "one", one="1\n")
    opened = await worker.stub.OpenMerge(request(worker, "one"))
    worker.git("branch", TARGET, "main")
    assert not await close(worker, opened, apply=True)
    assert worker.git("rev-parse", TARGET) == worker.git("rev-parse", "main")
    assert not Path(opened.path).exists()


async def test_known_results_are_not_checked_out(worker: Worker) -> None:
    """A tree that was tested before, by its id or as its branch's own tree, gets no worktree."""
    await work(worker, "one", one="1\n")
    opened = await worker.stub.OpenMerge(request(worker, "one", known="one"))
    assert (opened.path, len(opened.commit)) == ("", 40)
    asked = request(worker, "one")
    asked.known_trees.append(opened.tree)
    assert (await worker.stub.OpenMerge(asked)).path == ""
    await work(worker, "two", two="2\n")
    assert (await worker.stub.OpenMerge(request(worker, "one", "two", known="one"))).path


async def test_a_file_that_one_side_removed_says_so(worker: Worker) -> None:
    """If a conflict has no regions, git's message is returned instead."""
    await work(worker, "base", gone="1\n")
    await worker.merge(branch("base"), "main-copy", "main")
    for epic, text in (("edit", "2\n"), ("remove", None)):
        await worker.ensure(attempt(epic), "main-copy")
        await work(worker, epic, gone=text)
    opened = await worker.stub.OpenMerge(request(worker, "edit", "remove"))
    (hunk,) = opened.conflicting[0].conflict.hunks
    assert (hunk.file, hunk.line) == ("gone.txt", 0)
    assert "modify/delete" in hunk.text


async def test_a_restart_leaves_no_open_merge(tmp_path: Path, project: Path) -> None:
    """The merge worktrees of a service that ended are removed from disk and from git when the next one serves."""
    async with worktrees.worker(tmp_path / "home", project) as first:
        await work(first, "one", one="1\n")
        path = Path((await first.stub.OpenMerge(request(first, "one"))).path)
        half = path.parent.with_name("r2")
        (half / "merge").mkdir(parents=True)
        assert path.exists()
    async with worktrees.worker(tmp_path / "home", project) as second:
        assert not path.parent.exists()
        assert not half.exists()
        assert str(path) not in second.git("worktree", "list")
        assert (await second.stub.OpenMerge(request(second, "one"))).path == str(path)


async def test_a_merge_that_cannot_be_removed_does_not_stop_the_next_service(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that cannot be removed, as another user's, leave the next service running; the next merge removes them."""
    async with worktrees.worker(tmp_path / "home", project) as first:
        await work(first, "one", one="1\n")
        path = Path((await first.stub.OpenMerge(request(first, "one"))).path)
        half = path.parent.with_name("r2")
        half.mkdir()
    remove = files.remove

    def refuse(each: Path) -> None:
        if each in {path, half}:
            raise PermissionError(errno.EACCES, "Permission denied", str(each))
        remove(each)

    monkeypatch.setattr(files, "remove", refuse)
    async with worktrees.worker(tmp_path / "home", project) as second:
        assert path.exists()
        assert half.exists()
        monkeypatch.setattr(files, "remove", remove)
        assert (await second.stub.OpenMerge(request(second, "one"))).path == str(path)


async def test_nothing_to_merge_is_refused(worker: Worker) -> None:
    """A request without a source, or with one that does not exist, changes nothing."""
    assert (await refused(worker.stub.OpenMerge(request(worker)))).reason == pb.ERROR_REASON_INVALID_FIELD
    error = await refused(worker.stub.OpenMerge(request(worker, "nowhere")))
    assert error.reason == pb.ERROR_REASON_UNKNOWN_REVISION


async def test_a_close_moves_a_branch_only_between_commits(worker: Worker) -> None:
    """Names and anything that git would read as a further command are refused as commits, and move nothing."""
    await work(worker, "one", one="1\n")
    opened = await worker.stub.OpenMerge(request(worker, "one"))
    before = worker.git("for-each-ref")
    for bad in ("main", opened.commit[:12], f"{opened.commit}\0\0delete refs/heads/main\0"):
        for field in ("commit", "target_commit"):
            asked = pb.CloseMergeRequest(
                project=str(worker.project), epoch=1, run=RUN, target_branch=TARGET, apply=True
            )
            asked.commit = opened.commit
            setattr(asked, field, bad)
            error = await refused(worker.stub.CloseMerge(asked))
            assert (error.reason, error.violations[0].field) == (pb.ERROR_REASON_INVALID_FIELD, field)
    assert worker.git("for-each-ref") == before


async def test_a_request_for_another_repository_is_refused(worker: Worker, tmp_path: Path) -> None:
    """An open merge and an epic belong to the repository that their records name, whatever a request says."""
    await work(worker, "one", one="1\n")
    opened = await worker.stub.OpenMerge(request(worker, "one"))
    mine, theirs = worker.project, make_repository(tmp_path / "theirs")
    worker.project = theirs
    for call in (
        close(worker, opened, apply=True),
        worker.stub.OpenMerge(request(worker, "one")),
        worker.ensure(attempt("one", number=2)),
        worker.discard(attempt("one")),
        worker.remove("runs/r1/epics/one"),
    ):
        assert (await refused(call)).violations[0].field == "project"
    worker.project = mine
    assert Path(opened.path, "one.txt").exists()
    assert git(theirs, "for-each-ref", "refs/heads/heddle", "refs/heddle") == ""
    await worker.remove("runs/r1/epics/one")
    for bad in (f"{mine}\0", "\0"):
        assert (await refused(worker.inspect(bad))).violations[0].field == "project"
    assert (await refused(worker.merge("a\0b", TARGET))).violations[0].field == "source_branch"
