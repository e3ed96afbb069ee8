"""Conflicts are predicted: all pairs of branches are merged in memory."""

from pathlib import Path

import pytest

from heddle import pb
from tests.support.worktrees import Worker, attempt, fingerprint, refused
from worktree_svc.git.process.command import Git, Output


def branch(epic: str) -> str:
    return f"heddle/r1/epics/{epic}"


async def work(worker: Worker, epic: str, files: dict[str, str], task: str = "one") -> str:
    path = await worker.ready(attempt(epic, task))
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return (await worker.commit(attempt(epic, task))).commit


def pairs(found: pb.PredictConflictsResponse) -> list[tuple[str, str, list[str]]]:
    return [(pair.branch, pair.with_branch, list(pair.files)) for pair in found.pairs]


def objects(project: Path) -> set[Path]:
    return {path for path in (project / ".git" / "objects").rglob("*") if path.is_file()}


async def test_a_pair_that_will_conflict_is_named_with_its_files(worker: Worker) -> None:
    """Two epics that change one line differently conflict; a third that changes another file does not."""
    await work(worker, "api", {"README.md": "api\n", "api.txt": "x\n"})
    await work(worker, "ui", {"README.md": "ui\n", "häkchen ✓.txt": "x\n"})
    commit = await work(worker, "docs", {"docs/a.txt": "docs\n", "src/app.py": "print('ho')\n"})
    before = fingerprint(worker.project), worker.git("for-each-ref"), objects(worker.project)
    found = await worker.predict(branch("api"), branch("ui"), branch("docs"), "not-there-yet")
    assert pairs(found) == [(branch("api"), branch("ui"), ["README.md"])]
    assert [change.branch for change in found.changes] == [branch("api"), branch("ui"), branch("docs")]
    assert list(found.changes[1].paths) == ["README.md", "häkchen ✓.txt"]
    assert (found.changes[2].commit, found.changes[2].path_count) == (commit, 2)
    assert (fingerprint(worker.project), worker.git("for-each-ref"), objects(worker.project)) == before


async def test_a_base_that_moved_is_a_side_too(worker: Worker) -> None:
    """A new commit of the base conflicts with an epic: the pair has no second branch."""
    await work(worker, "api", {"README.md": "api\n"})
    assert pairs(await worker.predict(branch("api"))) == []
    (worker.project / "README.md").write_text("main\n")
    worker.git("commit", "--all", "--message=Meanwhile")
    assert pairs(await worker.predict(branch("api"))) == [(branch("api"), "", ["README.md"])]


async def test_a_folder_that_moved_away_is_seen(worker: Worker) -> None:
    """A file added to a folder that the other epic renamed is a conflict, although they share no path."""
    path = await worker.ready(attempt("move"))
    (path / "src").rename(path / "lib")
    await worker.commit(attempt("move"))
    await work(worker, "add", {"src/new.py": "print('new')\n"})
    found = await worker.predict(branch("add"), branch("move"))
    assert pairs(found) == [(branch("add"), branch("move"), ["lib/new.py"])]


async def test_only_new_commits_are_merged_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated call merges nothing; after one commit, only that branch's pairs are merged again."""
    for number in range(5):
        await work(worker, f"e{number}", {"README.md": f"{number}\n"})
    names = [branch(f"e{number}") for number in range(5)]
    merged: list[int] = []
    real = Git.run_spare

    def counting(git: Git, *arguments: str, stdin: bytes, temporary: bool = False) -> Output:
        if arguments[0] == "merge-tree":
            merged.append(stdin.count(b"\n"))
        return real(git, *arguments, stdin=stdin, temporary=temporary)

    monkeypatch.setattr(Git, "run_spare", counting)
    first = await worker.predict(*names)
    assert len(first.pairs) == 10
    assert merged == [10 + 5]
    assert await worker.predict(*names) == first
    assert merged == [15]
    await work(worker, "e2", {"README.md": "2, again\n"}, "two")
    assert pairs(await worker.predict(*names)) == pairs(first)
    assert merged == [15, 4 + 1]


async def test_a_missing_base_is_an_error(worker: Worker) -> None:
    """An unknown base is an error; an invalid branch name is treated as a missing branch."""
    assert (await refused(worker.predict("a", base="nowhere"))).reason == pb.ERROR_REASON_UNKNOWN_REVISION
    assert (await refused(worker.predict("a", base=""))).reason == pb.ERROR_REASON_UNKNOWN_REVISION
    for names in ((), ("--all", "", "a..b", "*")):
        assert await worker.predict(*names) == pb.PredictConflictsResponse()


async def test_an_upstream_that_moved_is_a_side_of_its_own(worker: Worker) -> None:
    """Conflicts with the upstream are distinguished from those with the run's base; a missing upstream is ignored."""
    start = worker.git("rev-parse", "main")
    await work(worker, "api", {"README.md": "api\n"})
    (worker.project / "README.md").write_text("main\n")
    worker.git("commit", "--all", "--message=Meanwhile")
    request = pb.PredictConflictsRequest(
        project=str(worker.project), branches=[branch("api")], base=start, upstream="main"
    )
    found = await worker.stub.PredictConflicts(request)
    assert [(pair.branch, pair.with_upstream, list(pair.files)) for pair in found.pairs] == [
        (branch("api"), True, ["README.md"])
    ]
    assert found.upstream_commit == worker.git("rev-parse", "main")
    request.upstream = "gone"
    found = await worker.stub.PredictConflicts(request)
    assert (list(found.pairs), found.upstream_commit) == ([], "")


async def test_changes_of_an_epic_count_from_its_own_start(worker: Worker) -> None:
    """If its start is given, an epic's changed paths are still listed after it was merged into the base."""
    start = worker.git("rev-parse", "main")
    commit = await work(worker, "api", {"api.txt": "x\n"})
    names = [branch("api")]
    request = pb.PredictConflictsRequest(project=str(worker.project), branches=names, base=commit)
    assert not (await worker.stub.PredictConflicts(request)).changes[0].paths
    request.starts[branch("api")] = start
    assert list((await worker.stub.PredictConflicts(request)).changes[0].paths) == ["api.txt"]
