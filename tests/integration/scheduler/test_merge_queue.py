"""Finished work is merged into the run's branch, and into the user's branch if requested."""

import asyncio
from typing import Any

import grpc
import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan


async def test_users_branch_moves_last(worker: FakeWorker, scheduler: Scheduler) -> None:
    """With merge_into, the run's branch is merged into the user's only after every epic was merged."""
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}), merge_into="main")

    events = await scheduler.finished(run)

    ended = await scheduler.run(run)
    merges = [(call.source_branch, call.target_branch) for call in worker.called("MergeBranch")]
    assert merges[-1] == (ended.branch, "main")
    assert {target for _, target in merges[:-1]} == {ended.branch}
    assert len(merges) == 3
    assert worker.called("MergeBranch")[0].create_target_at == ended.base_commit
    assert not worker.called("MergeBranch")[-1].create_target_at  # a user's branch is never created
    finished = [event.merge_finished.target_branch for event in events if event.HasField("merge_finished")]
    assert finished[-1] == "main"
    assert ended.state == pb.RUN_STATE_SUCCEEDED


async def test_users_branch_stays_where_something_failed(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A run with a failed task does not move the user's branch."""

    async def play(session: Any) -> pb.SessionFinished:
        bad = session.name.epic == "b"
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED if bad else pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}), merge_into="main")
    await scheduler.finished(run)

    assert "main" not in {call.target_branch for call in worker.called("MergeBranch")}
    assert (await scheduler.run(run)).state == pb.RUN_STATE_FAILED


async def test_a_merge_waits_for_a_branch_and_goes_on(worker: FakeWorker, scheduler: Scheduler) -> None:
    """While a branch blocks the merge of an epic or of the run, the merge waits and reports the reason once."""
    in_the_way = {
        "main": (pb.ERROR_REASON_BRANCH_CHECKED_OUT, "main is checked out in /home/ada/project"),
        "": (pb.ERROR_REASON_BRANCH_DIVERGED, "the run's branch was moved"),
    }
    tries: list[str] = []

    def before(method: str, request: Any) -> None:
        if method != "MergeBranch":
            return
        target = "main" if request.target_branch == "main" else ""
        tries.append(target)
        # Each fails twice: a second try must not add a second event.
        if tries.count(target) <= 2:
            raise HeddleError(*in_the_way[target])

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one"]}), merge_into="main")

    events = await scheduler.finished(run)

    held = [(event.epic, event.merge_held) for event in events if event.HasField("merge_held")]
    assert [(epic, each.reason) for epic, each in held] == [
        ("a", "the run's branch was moved"),
        ("", "main is checked out in /home/ada/project"),
    ]
    ended = await scheduler.run(run)
    assert (ended.state, ended.reason, ended.merge_hold) == (pb.RUN_STATE_SUCCEEDED, "", "")
    epic = (await scheduler.epics(run))["a"]
    assert (epic.state, epic.merge_hold) == (pb.EPIC_STATE_SUCCEEDED, "")


async def test_a_cancelled_run_waits_for_no_branch(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A run that is cancelled while its merge waits ends, and its epic's reason says why it was not merged."""
    held = asyncio.Event()

    def before(method: str, _: Any) -> None:
        if method == "MergeBranch":
            held.set()
            raise HeddleError(pb.ERROR_REASON_BRANCH_CHECKED_OUT, "it is checked out in /home/ada/project")

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await asyncio.wait_for(held.wait(), 60)
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    await scheduler.finished(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_CANCELLED
    assert "it is checked out in /home/ada/project" in (await scheduler.epics(run))["a"].reason


async def test_merge_error_fails_only_its_epic(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A git error while one epic is merged fails that epic with git's message; the other epic is merged."""

    def before(method: str, request: Any) -> None:
        if method == "MergeBranch" and request.source_branch.endswith("/a"):
            raise HeddleError(pb.ERROR_REASON_GIT_FAILED, "bad object")

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}))
    await scheduler.finished(run)

    epics = await scheduler.epics(run)
    assert epics["a"].state == pb.EPIC_STATE_FAILED
    assert epics["a"].reason == "the merge failed: bad object"
    assert epics["b"].state == pb.EPIC_STATE_SUCCEEDED
    assert epics["b"].merge_commit


async def test_a_manual_merge_waits_and_a_dropped_epic_lets_the_run_succeed(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """One epic is merged on request, the other is dropped; the run succeeds, with squashes as planned."""
    plan = make_plan({"a": ["one"], "b": ["one"]}, merge=pb.MERGE_POLICY_MANUAL)
    plan.merge_into, plan.merge_style = "main", pb.MERGE_STYLE_SQUASH
    run = await scheduler.create(plan)
    waiting: set[str] = set()

    def both(event: pb.Event) -> bool:
        if event.HasField("merge_waiting"):
            waiting.add(event.epic)
        return len(waiting) == 2

    events = await scheduler.until(run, both)
    assert not worker.called("MergeBranch")
    assert {epic.state for epic in (await scheduler.epics(run)).values()} == {pb.EPIC_STATE_AWAITING_MERGE}
    dropped = await scheduler.api.DropEpic(pb.DropEpicRequest(name=f"{run}/epics/b"))
    assert (dropped.epic.state, dropped.epic.reason) == (pb.EPIC_STATE_DROPPED, "dropped by ada")
    await scheduler.api.RetryMerge(pb.RetryMergeRequest(name=f"{run}/epics/a"))
    with pytest.raises(grpc.aio.AioRpcError, match="can be dropped"):
        await scheduler.api.DropEpic(pb.DropEpicRequest(name=f"{run}/epics/a"))

    events += await scheduler.finished(run, events[-1].sequence)

    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    merges = worker.called("MergeBranch")
    assert [call.target_branch for call in merges] == [(await scheduler.run(run)).branch, "main"]
    assert all(call.squash for call in merges)
    assert [event.epic for event in events if event.HasField("merge_requested")] == ["a"]


async def test_a_conflicted_epic_that_is_dropped_ends_its_run_again(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A run that failed only because of a conflicting epic succeeds once the epic is dropped."""

    def before(_: str, request: Any) -> None:
        if isinstance(request, pb.MergeBranchRequest) and request.source_branch.endswith("/b"):
            worker.conflicting.add(request.source_branch)

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}))
    events = await scheduler.finished(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_FAILED
    assert (await scheduler.epics(run))["b"].state == pb.EPIC_STATE_CONFLICTED
    await scheduler.api.DropEpic(pb.DropEpicRequest(name=f"{run}/epics/b"))
    await scheduler.finished(run, events[-1].sequence)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED


def with_checks(epics: dict[str, list[str]]) -> pb.Plan:
    """Returns a plan whose epics wait for the operator and are then merged and tested as one batch."""
    plan = make_plan(epics, merge=pb.MERGE_POLICY_MANUAL)
    plan.merge_checks.checks.add(name="test", run="make test")
    return plan


async def let_wait_and_merge(scheduler: Scheduler, run: str, keys: str) -> list[pb.Event]:
    """Requests the merge of all epics once all of them wait; returns the events until the run has ended."""
    waiting: set[str] = set()

    def all_wait(event: pb.Event) -> bool:
        if event.HasField("merge_waiting"):
            waiting.add(event.epic)
        return waiting == set(keys)

    events = await scheduler.until(run, all_wait)
    # Otherwise the first merge would start before the last one is requested.
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))
    for key in keys:
        await scheduler.api.RetryMerge(pb.RetryMergeRequest(name=f"{run}/epics/{key}"))
    return events + await scheduler.finished(run, events[-1].sequence)


async def test_the_culprits_of_a_red_batch_are_named_and_the_others_merged(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """If two of eight epics break the checks, six are merged and the two name the failed check."""
    worker.merge_is_good = lambda branches: not any(branch.endswith(("/c", "/f")) for branch in branches)
    run = await scheduler.create(with_checks({key: ["one"] for key in "abcdefgh"}))
    events = await let_wait_and_merge(scheduler, run, "abcdefgh")

    epics = await scheduler.epics(run)
    assert {key for key, epic in epics.items() if epic.state == pb.EPIC_STATE_SUCCEEDED} == set("abdegh")
    assert epics["c"].state == epics["f"].state == pb.EPIC_STATE_CONFLICTED
    assert epics["c"].reason == f"checks fail on the merge with {(await scheduler.run(run)).branch}: test"
    told = [event.merge_conflicted for event in events if event.HasField("merge_conflicted")]
    assert [check.command for conflict in told for check in conflict.failed_checks] == ["make test"] * 2
    tested = [event.merge_check_finished for event in events if event.HasField("merge_check_finished")]
    assert {len(each.epics) for each in tested} > {1}
    assert {tuple(each.epics) for each in tested if not each.check.ok} > {("c",), ("f",)}
    assert not worker.called("MergeBranch")
    # Every commit that a target was moved to was tested.
    moved = [close.commit for close in worker.called("CloseMerge") if close.apply]
    assert len(set(moved)) == len(moved) == len([1 for each in tested if each.check.ok])


async def test_a_target_that_moved_is_tested_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """If the target moved since the test, the merge starts again, so untested work never becomes the target."""
    moves: list[int] = []

    def before(method: str, request: Any) -> None:
        if method == "CloseMerge" and request.apply and not moves:
            moves.append(1)
            request.apply = False  # the fake answers as if the target had moved

    worker.before = before
    plan = make_plan({"a": ["one"]})
    plan.merge_checks.checks.add(name="test", run="make test")
    run = await scheduler.create(plan)
    await scheduler.finished(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert len(worker.called("RunChecks")) == 2


async def test_the_runs_merge_is_not_tested_twice(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Default checks also apply to merges; a tree that passed is not tested again for the user's branch."""
    plan = make_plan({"a": ["one"], "b": ["one"]})
    plan.defaults.checks.add(name="test", run="make test")
    plan.merge_into = "main"
    run = await scheduler.create(plan)
    await scheduler.finished(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    last = worker.called("OpenMerge")[-1]
    assert last.target_branch == "main"
    assert list(last.known_trees) != []
    assert all(source.known for call in worker.called("OpenMerge")[:-1] for source in call.sources)
