"""Candidates of one task work in worktrees of their own, and the work of one of them is accepted."""

import asyncio
from pathlib import Path

import grpc
import pytest

from heddle import pb
from heddle.names import AttemptName
from tests.support import worktrees
from tests.support.fleet import Fleet
from tests.support.worktrees import Worker, attempt, refused

ONE, TWO = attempt(task="one@1"), attempt(task="one@2")
SELECTION = attempt(task="one")
EPIC = "heddle/r1/epics/api"


def submitting(worker: Worker, name: AttemptName) -> pb.CommitTaskRequest:
    return pb.CommitTaskRequest(
        project=worker.name, attempt=str(name), epoch=worker.epoch, subject="Work", submit=True
    )


async def submitted(worker: Worker, name: AttemptName, text: str, needed: tuple[str, ...] = ()) -> str:
    """Submits a file with `text` as the work of a candidate; returns its commit."""
    path = Path((await worker.ensure(name, needed=needed)).worktree.path)
    (path / "work.txt").write_text(text)
    return (await worker.stub.CommitTask(submitting(worker, name))).commit


async def accept(
    worker: Worker, name: AttemptName, commit: str, owner: AttemptName = SELECTION
) -> pb.CommitTaskResponse:
    request = pb.CommitTaskRequest(
        project=worker.name,
        attempt=str(name),
        epoch=worker.epoch,
        submitted_commit=commit,
        owner_attempt=str(owner),
    )
    return await worker.stub.CommitTask(request)


async def test_one_of_two_candidates_is_accepted(worker: Worker) -> None:
    """Each has its own worktree, ports and commit on the same base; exactly one of them moves the epic's branch."""
    file = pb.ProjectFile(ports=2)
    first, second = await asyncio.gather(worker.ensure(ONE, file=file), worker.ensure(TWO, file=file))
    assert first.worktree.path != second.worktree.path
    assert first.worktree.path.endswith("/worktrees/r1/api@1")
    assert not set(first.worktree.lease.ports) & set(second.worktree.lease.ports)
    commits = [await submitted(worker, name, f"{name.task}\n") for name in (ONE, TWO)]
    base = worker.git("rev-parse", "main")
    assert [worker.git("rev-parse", f"{commit}^") for commit in commits] == [base, base]
    assert worker.git("rev-parse", EPIC) == base

    ensured = await worker.ensure(SELECTION, earlier=TWO)
    assert ensured.continued
    assert ensured.worktree.path.endswith("/worktrees/r1/api")
    done = await accept(worker, TWO, commits[1])
    assert done.commit == (await accept(worker, TWO, commits[1])).commit == commits[1]
    assert worker.git("rev-parse", EPIC) == commits[1]
    error = await refused(accept(worker, ONE, commits[0]))
    assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT

    following = await worker.ensure(attempt(task="two"))
    assert not following.HasField("found")
    assert (Path(following.worktree.path) / "work.txt").read_text() == "one@2\n"
    # The losers' work stays, and the candidates of a later task start where the epic is now.
    assert worker.git("show", "refs/heddle/attempts/r1/api/one@1/1:work.txt") == "one@1"
    later = await worker.ensure(attempt(task="three@1"))
    assert later.worktree.head_commit == commits[1]
    assert (Path(later.worktree.path) / "work.txt").read_text() == "one@2\n"


async def test_removed_with_its_branch(worker: Worker) -> None:
    """A candidate's worktree can be removed by its name; then it has no branch, and its kept work stays."""
    await submitted(worker, ONE, "one\n")
    await submitted(worker, TWO, "two\n")
    await worker.remove("runs/r1/epics/api@1")
    branches = worker.git("branch", "--list", "--format=%(refname:short)", "heddle/*").splitlines()
    assert branches == [EPIC, f"{EPIC}@2"]
    assert worker.git("show", "refs/heddle/attempts/r1/api/one@1/1:work.txt") == "one"
    assert (await worker.ensure(attempt(task="one@1", number=2))).created


async def test_all_start_with_what_their_task_needs(worker: Worker) -> None:
    """The needed work is merged into the epic once, whatever is in its worktree; each candidate is on top of it."""
    other = await worker.ready(attempt("ui"))
    (other / "ui.txt").write_text("ui\n")
    needed = (await worker.commit(attempt("ui"))).commit
    main = await worker.ready(attempt(task="zero"))
    (main / "zero.txt").write_text("zero\n")
    await worker.commit(attempt(task="zero"))
    (main / "mine.txt").write_text("a person's\n")

    commits = [await submitted(worker, name, f"{name.task}\n", (needed,)) for name in (ONE, TWO)]
    head = worker.git("rev-parse", EPIC)
    assert worker.git("rev-parse", f"{head}^2") == needed
    assert [worker.git("rev-parse", f"{commit}^") for commit in commits] == [head, head]
    await worker.ensure(SELECTION, earlier=ONE, needed=(needed,))
    assert (await accept(worker, ONE, commits[0])).commit == worker.git("rev-parse", EPIC)
    found = worker.git("for-each-ref", "--format=%(refname)", "refs/heddle/found")
    assert worker.git("show", f"{found}:mine.txt") == "a person's"


async def test_all_start_where_the_epic_is_rewound(worker: Worker) -> None:
    """The first candidate sets aside what is to be repeated; the second one finds it done, also with a need."""
    other = await worker.ready(attempt("ui"))
    (other / "ui.txt").write_text("ui\n")
    needed = (await worker.commit(attempt("ui"))).commit
    main = await worker.ready(attempt(task="zero"))
    (main / "zero.txt").write_text("zero\n")
    old = (await worker.commit(attempt(task="zero"))).commit
    heads = []
    for name in (attempt(task="zero@1"), attempt(task="zero@2"), attempt(task="zero@1", number=2)):
        ensured = await worker.ensure(name, rewind_to=f"{old}^", needed=[needed])
        heads.append(ensured.worktree.head_commit)
        assert not (Path(ensured.worktree.path) / "zero.txt").exists()
        assert (Path(ensured.worktree.path) / "ui.txt").exists()
    assert len(set(heads)) == 1
    assert worker.git("rev-parse", EPIC) == heads[0]
    assert worker.git("for-each-ref", "--format=%(objectname)", "refs/heddle/rewound") == old


@pytest.mark.parametrize(
    "point", ["take_in.after_move", "start_candidate.before_move", "start_candidate.after_move"]
)
async def test_killed_before_a_candidate_starts(tmp_path: Path, project: Path, point: str) -> None:
    """Wherever the service is killed, the repeated call gives the candidate the worktree that it would have had."""
    fleet = Fleet(tmp_path / "home", {"GIT_CONFIG_GLOBAL": "/dev/null"})
    service, late = "worktree_svc", attempt(task="two@1")
    try:
        await fleet.start(service)
        async with worktrees.connected(fleet, project) as worker:
            other = await worker.ready(attempt("ui"))
            (other / "ui.txt").write_text("ui\n")
            needed = (await worker.commit(attempt("ui"))).commit
            # Its worktree exists, where the candidates of an earlier task started, with what one of them left.
            path = await worker.ready(ONE)
            (path / "left.txt").write_text("left\n")
            fleet.kill(service)
            process = fleet.spawn(service, {"HEDDLE_FAILPOINT": point})
            while process.poll() is None:
                try:
                    await worker.ensure(late, needed=[needed])
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)  # the service is starting, or was killed by the failpoint
            await fleet.start(service)
            ensured = await worker.ensure(late, needed=[needed])
            assert ensured.worktree.head_commit == worker.git("rev-parse", EPIC)
            assert worker.git("rev-parse", f"{EPIC}^2") == needed
            assert sorted(each.name for each in path.glob("*.txt")) == ["ui.txt"]
            kept = "refs/heddle/attempts/r1/api/one@1/1"
            assert worker.git("show", f"{kept}:left.txt") == "left"
    finally:
        fleet.stop()
