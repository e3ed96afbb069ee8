"""Where finished work goes: the run's branch, and the user's where they asked for it."""

from typing import Any

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
