"""Epics with a place: workers that share nothing but the project's remote."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from heddle import pb
from tests.support import worktrees
from tests.support.fleet import Fleet
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

EPIC = "runs/r1/epics/api"
BRANCH = "heddle/r1/epics/api"


@pytest.fixture
async def workers(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two workers that have not seen the project."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(worktrees.worker(tmp_path / name, remote))
            for name in ("one", "two")
        ]
        yield replace(one, url=f"file://{remote}"), replace(two, url=f"file://{remote}")


def known(commit: str, *, elsewhere: bool = False, branch: str = BRANCH) -> list[pb.KnownBranch]:
    return [pb.KnownBranch(branch=branch, commit=commit, elsewhere=elsewhere)] if commit else []


async def work(place: Worker, number: int, head: str, base: str) -> pb.CommitTaskResponse:
    """Has an attempt write one file on top of the last accepted commit; returns what was accepted."""
    name = attempt(task=f"t{number}")
    ready = await place.ensure(name, base, known=known(head))
    assert ready.worktree.head_commit == (head or base)
    (Path(ready.worktree.path) / f"{number}.txt").write_text(f"{number}\n")
    return await place.commit(name)


async def test_an_epic_moves_between_workers(workers: tuple[Worker, Worker], remote: Path) -> None:
    """Each place continues from the last accepted commit; an earlier place gets nothing accepted; the run's worker merges it."""
    one, two = workers
    base = git(remote, "rev-parse", "trunk")
    first = await work(replace(one, generation=1), 1, "", base)
    assert (first.push_error, git(remote, "rev-parse", BRANCH)) == ("", first.commit)
    late = Path((await replace(one, generation=1).ensure(attempt(task="late"), base)).worktree.path)
    (late / "late.txt").write_text("late\n")
    second = await work(replace(two, generation=2), 2, first.commit, base)
    late_commit = await refused(replace(one, generation=1).commit(attempt(task="late")))
    assert late_commit.reason == pb.ERROR_REASON_STALE_ATTEMPT
    assert (
        await refused(replace(two, generation=1).ensure(attempt(task="t3")))
    ).reason == pb.ERROR_REASON_STALE_ATTEMPT
    assert git(remote, "rev-parse", BRANCH) == second.commit

    await one.merge(BRANCH, "trunk", known=known(second.commit, elsewhere=True))
    assert git(remote, "ls-tree", "--name-only", "trunk").split() == ["1.txt", "2.txt", "README.md", "a.txt"]
    # What the first place had not committed is archived when the epic comes back.
    third = await work(replace(one, generation=3), 3, second.commit, base)
    (mirror,) = (one.home / "mirrors").iterdir()
    assert "late.txt" in git(mirror, "ls-tree", "--name-only", "refs/heddle/archive/r1/api").split()
    names = git(remote, "ls-tree", "--name-only", third.commit).split()
    assert names == ["1.txt", "2.txt", "3.txt", "README.md", "a.txt"]


async def test_a_merge_that_a_lost_worker_pushed_does_not_keep_the_next_one_from_pushing(
    workers: tuple[Worker, Worker], remote: Path
) -> None:
    """If the scheduler never learned of a run's first merge, another worker repeats it, and both are at the remote."""
    one, two = workers
    base, target = git(remote, "rev-parse", "trunk"), "heddle/r1/merged"
    done = await work(replace(one, generation=1), 1, "", base)
    of_epic = known(done.commit, elsewhere=True)
    made = []
    for number, home in enumerate((one, two)):
        # Otherwise, both commits would be the same.
        subject = f"runs/r{number}"
        made.append((await home.merge(BRANCH, target, base, subject, known=of_epic)).merged.commit)
        assert git(remote, "merge-base", target, made[0]) == made[0]
    assert made[0] != made[1]
    assert set(made) <= set(git(remote, "rev-list", target).split())
    assert git(remote, "ls-tree", "--name-only", target).split() == ["1.txt", "README.md", "a.txt"]
    # The run continues there.
    later = await work(replace(one, generation=1), 2, done.commit, base)
    last = await two.merge(BRANCH, target, known=known(later.commit, elsewhere=True))
    assert git(remote, "rev-parse", target) == last.merged.commit


async def test_acceptance_waits_for_the_remote(workers: tuple[Worker, Worker], remote: Path) -> None:
    """While the remote is away, nothing is accepted, here neither; the same call accepts the same commit later."""
    one = replace(workers[0], generation=1)
    base = git(remote, "rev-parse", "trunk")
    name = attempt()
    path = Path((await one.ensure(name, base)).worktree.path)
    (path / "b.txt").write_text("b\n")
    away = remote.rename(remote.with_name("away"))
    for _ in range(2):
        assert (await refused(one.commit(name))).reason == pb.ERROR_REASON_PROJECT_UNAVAILABLE
    (mirror,) = (one.home / "mirrors").iterdir()
    assert git(mirror, "rev-parse", "refs/heddle/accepted/r1/api") == base
    # The work is what the checks have seen.
    (path / "b.txt").write_text("later\n")
    away.rename(remote)
    done = await one.commit(name)
    assert git(remote, "show", f"{done.commit}:b.txt") == "b"
    assert git(remote, "rev-parse", BRANCH) == done.commit == (await one.commit(name)).commit


async def test_the_next_attempt_does_not_offer_the_work_of_the_one_before(
    workers: tuple[Worker, Worker], remote: Path
) -> None:
    """If the remote did not take the work of an attempt that was then ended, the next attempt's work is accepted."""
    one = replace(workers[0], generation=1)
    base = git(remote, "rev-parse", "trunk")
    for number, restored in ((1, False), (2, True)):
        name = attempt(number=number)
        path = Path((await one.ensure(name, base)).worktree.path)
        (path / f"{number}.txt").write_text("x\n")
        if not restored:
            away = remote.rename(remote.with_name("away"))
            await refused(one.commit(name))
            away.rename(remote)
            await one.discard(name)
        else:
            commit = (await one.commit(name)).commit
    assert git(remote, "ls-tree", "--name-only", commit).split() == ["2.txt", "README.md", "a.txt"]


async def test_a_rewound_epic_continues_at_another_place(
    workers: tuple[Worker, Worker], remote: Path
) -> None:
    """A new place starts from the last commit that counts; the commits that were set aside leave the remote's branch."""
    one, two = workers
    base = git(remote, "rev-parse", "trunk")
    first = await work(replace(one, generation=1), 1, "", base)
    second = await work(replace(one, generation=1), 2, first.commit, base)
    assert git(remote, "rev-parse", BRANCH) == second.commit
    again = replace(two, generation=2)
    for _ in range(2):
        ready = await again.ensure(
            attempt(task="t2", number=2), base, known=known(first.commit), rewind_to=f"{second.commit}^"
        )
        assert ready.worktree.head_commit == first.commit
    done = await again.commit(attempt(task="t2", number=2))
    assert git(remote, "rev-parse", BRANCH, f"{BRANCH}^").split() == [done.commit, first.commit]


async def test_the_place_of_an_epic_rewinds_it(workers: tuple[Worker, Worker], remote: Path) -> None:
    """At the same place, the commits that are set aside are kept, and the remote's branch follows."""
    one = replace(workers[0], generation=1)
    base = git(remote, "rev-parse", "trunk")
    first = await work(one, 1, "", base)
    second = await work(one, 2, first.commit, base)
    name = attempt(task="t2", number=2)
    await one.ensure(name, base, known=known(first.commit), rewind_to=f"{second.commit}^")
    done = await one.commit(name)
    assert git(remote, "rev-parse", BRANCH, f"{BRANCH}^").split() == [done.commit, first.commit]
    (mirror,) = (one.home / "mirrors").iterdir()
    assert git(mirror, "for-each-ref", "--format=%(objectname)", "refs/heddle/rewound") == second.commit


async def test_submitted_work_is_accepted_at_another_place(
    workers: tuple[Worker, Worker], remote: Path
) -> None:
    """Work that waits for a review is at the remote too; a reviewer on another worker has its files, and its work is accepted."""
    one, two = replace(workers[0], generation=1), replace(workers[1], generation=2)
    base = git(remote, "rev-parse", "trunk")
    name, reviewer = attempt(), attempt(number=2)
    path = Path((await one.ensure(name, base)).worktree.path)
    (path / "b.txt").write_text("b\n")
    request = pb.CommitTaskRequest(
        project=one.name, attempt=str(name), epoch=1, subject="Work", submit=True, generation=1
    )
    submitted = await one.stub.CommitTask(request)
    ready = await two.ensure(reviewer, base, earlier=name)
    assert (Path(ready.worktree.path) / "b.txt").read_text() == "b\n"
    done = await two.stub.CommitTask(
        pb.CommitTaskRequest(
            project=two.name,
            attempt=str(name),
            epoch=1,
            submitted_commit=submitted.commit,
            owner_attempt=str(reviewer),
            generation=2,
        )
    )
    assert git(remote, "rev-parse", BRANCH) == done.commit == submitted.commit


async def test_commits_of_people_on_the_remote_branch_are_merged(
    workers: tuple[Worker, Worker], remote: Path
) -> None:
    """Where the run is, an epic's branch is its last accepted commit and what people have added to it at the remote, and no more."""
    one, two = workers
    base = git(remote, "rev-parse", "trunk")
    first = await work(replace(one, generation=1), 1, "", base)
    # The branch has been here before.
    await two.merge(BRANCH, "before", base, known=known(first.commit, elsewhere=True))
    tree = git(remote, "rev-parse", f"{first.commit}^{{tree}}")
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    git(
        remote,
        "update-ref",
        f"refs/heads/{BRANCH}",
        git(remote, *person, "commit-tree", "-p", first.commit, "-m", "Resolve", tree),
    )
    merged = (await two.merge(BRANCH, "trunk", known=known(first.commit, elsewhere=True))).merged
    assert git(remote, "log", "--format=%s", "-1", f"{merged.commit}^2") == "Resolve"
    # A commit beyond the accepted one that a place has pushed, and that was never recorded, does not count.
    second = await work(replace(one, generation=1), 2, first.commit, base)
    assert git(remote, "rev-parse", "refs/heddle/accepted/r1/api") == second.commit
    await two.merge(BRANCH, "other", base, known=known(first.commit, elsewhere=True))
    assert "2.txt" not in git(remote, "ls-tree", "--name-only", "other").split()


async def test_a_forecast_knows_commits_of_other_workers(
    workers: tuple[Worker, Worker], remote: Path
) -> None:
    """Conflicts and diffs of epics that are elsewhere are computed where their run is, and move no branch there."""
    one, two = workers
    base = git(remote, "rev-parse", "trunk")
    first = await work(replace(one, generation=1), 1, "", base)
    branches = known(first.commit, elsewhere=True)
    found = await two.stub.PredictConflicts(
        pb.PredictConflictsRequest(project=two.name, branches=[BRANCH], base=base, known_branches=branches)
    )
    assert [(each.branch, list(each.paths)) for each in found.changes] == [(BRANCH, ["1.txt"])]
    (mirror,) = (two.home / "mirrors").iterdir()
    assert git(mirror, "for-each-ref", "refs/heads/heddle") == ""


@pytest.mark.parametrize(
    "point",
    [
        "settle.after_take",
        "settle.before_keep",
        "ensure.after_claim",
        "claim.after_push",
        "commit_task.before_move",
        "commit_task.after_move",
    ],
)
async def test_a_place_that_is_killed_repeats_its_calls(
    tmp_path: Path, remote: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies at any step of taking a place, or of an acceptance, completes it when it is asked again."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    fleet = Fleet(tmp_path / "home")
    base, name = git(remote, "rev-parse", "trunk"), attempt()
    try:
        process = fleet.spawn("worktree_svc", {"HEDDLE_FAILPOINT": point})
        async with worktrees.connected(fleet, remote) as connected:
            place = replace(connected, url=f"file://{remote}", generation=2)

            async def do() -> pb.CommitTaskResponse:
                path = Path((await place.ensure(name, base)).worktree.path)
                (path / "b.txt").write_text("b\n")
                return await place.commit(name)

            await fleet._serving("worktree_svc")
            with pytest.raises(grpc.RpcError):
                await do()
            process.wait()
            await fleet.start("worktree_svc")
            done = await do()
        assert git(remote, "rev-parse", BRANCH, f"{BRANCH}^").split() == [done.commit, base]
        assert git(remote, "rev-parse", "refs/heddle/accepted/r1/api") == done.commit
    finally:
        fleet.stop()


async def test_a_resolution_reaches_another_worker(workers: tuple[Worker, Worker], remote: Path) -> None:
    """What a person resolved on the run's worker is where an attempt of the epic starts, on another worker."""
    home, place = workers
    base, target = git(remote, "rev-parse", "trunk"), "heddle/r1/merged"
    heads = {}
    for epic, worker in (("other", home), ("api", replace(place, generation=1))):
        path = Path((await worker.ensure(attempt(epic), base)).worktree.path)
        (path / "a.txt").write_text(f"{epic}\n")
        heads[epic] = (await worker.commit(attempt(epic))).commit
    merged = (await home.merge("heddle/r1/epics/other", target, base)).merged.commit
    both = known(heads["api"], elsewhere=True) + known(merged, branch=target)
    sides: dict[str, Any] = {
        "epic": EPIC,
        "target_branch": target,
        "project": home.name,
        "known_branches": both,
    }
    conflict = (await home.stub.ReadConflict(pb.ReadConflictRequest(**sides))).conflict
    assert [conflict.source_commit, conflict.target_commit] == [heads["api"], merged]
    made = await home.stub.MakeResolution(
        pb.MakeResolutionRequest(
            **sides,
            source_commit=heads["api"],
            target_commit=merged,
            files=[pb.FileResolution(whole=b"both\n")],
            epoch=home.epoch,
            push=True,
        )
    )
    name = attempt(task="resolve-1")
    ensured = await place.stub.EnsureWorktree(
        pb.EnsureWorktreeRequest(
            project=place.name,
            attempt=str(name),
            epoch=place.epoch,
            base_commit=base,
            generation=2,
            known_branches=known(heads["api"]) + known(merged, branch=target, elsewhere=True),
            resolution_commit=made.commit,
        )
    )
    assert (Path(ensured.worktree.path) / "a.txt").read_text() == "both\n"
    committed = await replace(place, generation=2).commit(name)
    assert git(remote, "show", "-s", "--format=%P", committed.commit).split() == [heads["api"], merged]


async def delayed_call_is_refused(
    workers: tuple[Worker, Worker], remote: Path, generations: tuple[int, int]
) -> None:
    """Has an epic move, and the first place receive a call of its own time after that."""
    base = git(remote, "rev-parse", "trunk")
    one, two = (replace(place, generation=each) for place, each in zip(workers, generations, strict=True))
    name = attempt(number=generations[0])
    await two.ensure(attempt(number=generations[0] + 1), base)
    error = await refused(one.ensure(name, base))
    assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT


async def test_a_delayed_call_to_an_earlier_place_is_refused(
    workers: tuple[Worker, Worker], remote: Path
) -> None:
    """A request that a frozen worker carries out after its epic has moved does not take the epic back."""
    await delayed_call_is_refused(workers, remote, (1, 2))
