"""An epic is rewound to an earlier commit of its own for an attempt."""

from pathlib import Path

from heddle import pb
from tests.support.worktrees import Worker, attempt, refused

BRANCH = "heddle/r1/epics/api"
ACCEPTED = "refs/heddle/accepted/r1/api"
REWOUND = "refs/heddle/rewound/r1/api"


async def accept(worker: Worker, task: str, number: int = 1, rewind_to: str = "") -> str:
    """Accepts a file that is named after the task; returns the commit."""
    name = attempt(task=task, number=number)
    ensured = await worker.ensure(name, rewind_to=rewind_to)
    Path(ensured.worktree.path, f"{task}.txt").write_text(f"{number}\n")
    return (await worker.commit(name)).commit


def refs(worker: Worker) -> dict[str, str]:
    lines = worker.git(
        "for-each-ref", "--format=%(refname) %(objectname)", "refs/heddle", f"refs/heads/{BRANCH}"
    )
    return dict(line.split(" ") for line in lines.splitlines())


async def test_a_rewound_epic_continues_from_the_earlier_commit(worker: Worker) -> None:
    """Two commits are kept under one ref; work continues from the commit before them, also if repeated."""
    one, two, three = [await accept(worker, task) for task in ("one", "two", "three")]

    ensured = await worker.ensure(attempt(task="two", number=2), rewind_to=f"{two}^")

    path = Path(ensured.worktree.path)
    assert (ensured.worktree.head_commit, ensured.created) == (one, False)
    assert sorted(each.name for each in path.glob("*.txt")) == ["one.txt"]
    assert refs(worker) == {f"refs/heads/{BRANCH}": one, ACCEPTED: one, f"{REWOUND}/two/2": three}
    (path / "begun.txt").write_text("begun\n")
    await worker.ensure(attempt(task="two", number=2), rewind_to=f"{two}^")
    assert (path / "begun.txt").exists()
    # That attempt fails; the next one gets the same request.
    await worker.discard(attempt(task="two", number=2))
    again = await accept(worker, "two", 3, rewind_to=f"{two}^")
    assert worker.git("rev-parse", f"{again}^") == one
    assert refs(worker)[ACCEPTED] == again
    assert [name for name in refs(worker) if name.startswith(REWOUND)] == [f"{REWOUND}/two/2"]


async def test_an_epic_without_a_worktree_is_rewound_to_its_start(worker: Worker) -> None:
    """A removed worktree is created again at the epic's start, even if a killed git left a branch lock."""
    one = await accept(worker, "one")
    two = await accept(worker, "two")
    await worker.remove("runs/r1/epics/api")
    (worker.project / ".git" / "refs" / "heads" / f"{BRANCH}.lock").touch()

    again = await accept(worker, "one", 2, rewind_to=f"{one}^")

    assert worker.git("rev-parse", f"{again}^") == worker.git("rev-parse", "main")
    assert refs(worker) == {f"refs/heads/{BRANCH}": again, ACCEPTED: again, f"{REWOUND}/one/2": two}
    assert worker.git("show", f"{REWOUND}/one/2:one.txt") == "1"


async def test_rewound_commits_do_not_come_back(worker: Worker) -> None:
    """If the ref of the accepted commit is lost as well, the epic stays at the commit to which it was rewound."""
    one = await accept(worker, "one")
    await worker.remove("runs/r1/epics/api")
    await worker.ensure(attempt(task="one", number=2), rewind_to=f"{one}^")
    worker.git("update-ref", "-d", ACCEPTED)
    again = await accept(worker, "one", 3)
    assert worker.git("rev-parse", f"{again}^") == worker.git("rev-parse", "main")


async def test_an_epic_is_rewound_only_to_its_own_commits(worker: Worker) -> None:
    """A commit that is not the epic's, or an unknown one, is refused, and no ref moves."""
    await accept(worker, "one")
    before = refs(worker)
    worker.git("commit", "--quiet", "--allow-empty", "--message=Unrelated")

    unrelated = await refused(worker.ensure(attempt(task="one", number=2), rewind_to="main"))
    missing = await refused(worker.ensure(attempt(task="one", number=3), rewind_to="nosuch"))

    assert (unrelated.reason, missing.reason) == (
        pb.ERROR_REASON_INVALID_FIELD,
        pb.ERROR_REASON_UNKNOWN_REVISION,
    )
    assert refs(worker) == before
