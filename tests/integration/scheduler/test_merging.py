"""Where finished work goes: the run's branch, and the user's where they asked for it."""

from typing import Any

import grpc
import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan


async def test_users_branch_moves_last(worker: FakeWorker, scheduler: Scheduler) -> None:
    """With merge_into the run's branch is merged into the user's once every epic is in it, and not before."""
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}), merge_into="main")

    events = await scheduler.finished(run)

    ended = await scheduler.run(run)
    merges = [(call.source_branch, call.target_branch) for call in worker.called("MergeBranch")]
    assert merges[-1] == (ended.branch, "main")
    assert {target for _, target in merges[:-1]} == {ended.branch}
    assert len(merges) == 3
    assert worker.called("MergeBranch")[0].create_target_at == ended.base_commit
    assert not worker.called("MergeBranch")[-1].create_target_at  # a user's branch is never made
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


async def test_branch_that_cannot_be_moved_fails_the_run_and_keeps_the_work(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """If the user's branch cannot be moved the run fails and says where the work is."""

    def before(method: str, request: Any) -> None:
        if method == "MergeBranch" and request.target_branch == "main":
            raise HeddleError(pb.ERROR_REASON_BRANCH_CHECKED_OUT, "main is checked out in /home/ada/project")

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one"]}), merge_into="main")

    events = await scheduler.finished(run)

    ended = await scheduler.run(run)
    assert ended.state == pb.RUN_STATE_FAILED
    assert ended.branch in ended.reason
    conflicts = [event.merge_conflicted for event in events if event.HasField("merge_conflicted")]
    assert conflicts[0].advice == "main is checked out in /home/ada/project"
    assert (await scheduler.epics(run))["a"].state == pb.EPIC_STATE_SUCCEEDED


async def test_merge_error_fails_only_its_epic(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An error of git while one epic is merged fails that epic in git's words; the other is merged."""

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
    """One epic is merged when its operator says so, the other is dropped; the run ends well, squashed as planned."""
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
    dropped = await scheduler.api.DropEpic(pb.DropEpicRequest(name=f"{run}/epics/b", actor="user:ada"))
    assert (dropped.epic.state, dropped.epic.reason) == (pb.EPIC_STATE_DROPPED, "dropped by user:ada")
    await scheduler.api.RetryMerge(pb.RetryMergeRequest(name=f"{run}/epics/a"))
    with pytest.raises(grpc.aio.AioRpcError, match="can be dropped"):
        await scheduler.api.DropEpic(pb.DropEpicRequest(name=f"{run}/epics/a"))

    events += await scheduler.finished(run, events[-1].sequence)

    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    merges = worker.called("MergeBranch")
    assert [call.target_branch for call in merges] == [(await scheduler.run(run)).branch, "main"]
    assert all(call.squash for call in merges)
    assert [event.epic for event in events if event.HasField("merge_requested")] == ["a"]


async def test_a_conflicted_epic_that_is_dropped_ends_its_run_anew(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The run had failed for its sake only, and succeeds without it."""

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
