"""Sessions that wait for the operator release their slots, and continue once they are answered."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.api import worker_relay
from tests.integration.scheduler.test_operator import reason_of
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake

AT_ONCE = {"HEDDLE_PARK_AFTER": "0"}

QUESTION = "May the agent use Bash on make deploy?"


async def ask(session: FakeSession) -> pb.SessionFinished:
    """Asks in a/one and ends according to the answer; succeeds at once if it already has the answer."""
    if session.name[1:3] == ("a", "one") and not session.request.answers:
        asked = pb.ApprovalRequested(
            approval_id="approval-1", question=QUESTION, tool="Bash", target="make deploy", parkable=True
        )
        asked.wait.FromSeconds(600)
        session.emit(approval_requested=asked)
        while "approval-1" not in session.answers:
            await session.news()
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


@pytest.fixture
async def scheduler(worker: FakeWorker, database_url: str, tmp_path: Path) -> AsyncIterator[Scheduler]:
    """A scheduler that parks waiting sessions immediately, on each kind of database."""
    worker.play = ask
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, database_url, environ=AT_ONCE) as running,
    ):
        yield running


async def parked(scheduler: Scheduler, *others: str) -> tuple[str, pb.Approval]:
    """Returns a run whose epic a is parked once epics `others` are accepted, and its open question."""
    epics = {"a": ["one", "two"]} | {key: ["one"] for key in others or ("b",)}
    run = await scheduler.create(make_plan(epics), max_parallel=1)
    await scheduler.until(run, lambda event: event.task_waiting.parked)

    async def done() -> bool:
        tasks = await scheduler.tasks(run)
        return all(tasks[f"{key}/one"].state == pb.TASK_STATE_ACCEPTED for key in others or ("b",))

    await eventually(done)
    [approval] = (await scheduler.api.ListApprovals(pb.ListApprovalsRequest())).approvals
    return run, approval


async def answer(scheduler: Scheduler, approval: pb.Approval, *, approved: bool, message: str = "") -> None:
    await scheduler.api.ResolveApproval(
        pb.ResolveApprovalRequest(
            attempt=approval.attempt,
            approval_id=approval.approval_id,
            approved=approved,
            message=message,
        )
    )


async def test_a_wait_holds_no_slot_and_goes_on_with_the_answer(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """With one slot, another epic is completed while one waits; the next attempt receives the answer."""
    run, approval = await parked(scheduler)

    task = (await scheduler.tasks(run))["a/one"]
    assert (task.state, task.attempt_count) == (pb.TASK_STATE_WAITING, 1)
    assert task.latest_attempt.state == pb.ATTEMPT_STATE_PARKED
    assert task.latest_attempt.HasField("end_time")
    assert task.latest_attempt.summary.waiting_for.question == QUESTION
    assert (approval.question, approval.attempt) == (QUESTION, f"{run}/epics/a/tasks/one/attempts/1")
    assert approval.deny_time.seconds - approval.request_time.seconds == 600
    assert (await scheduler.run(run)).tasks.waiting == 1
    assert not worker.live
    assert not [r for r in worker.called("DiscardAttempt") if "/a/" in r.attempt]

    await answer(scheduler, approval, approved=True, message="once")
    await answer(scheduler, approval, approved=False)
    events = await scheduler.finished(run)

    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    [second] = [r for r in worker.called("StartSession") if r.attempt.endswith("a/tasks/one/attempts/2")]
    assert second.resume_attempt == approval.attempt
    assert second.files_kept
    [told] = second.answers
    assert (told.approved, told.message, told.approval.target) == (True, "once", "make deploy")
    [ensured] = [r for r in worker.called("EnsureWorktree") if r.attempt == second.attempt]
    assert ensured.continue_attempt == approval.attempt
    resolved = [event for event in events if event.HasField("approval_resolved")]
    assert [(event.actor, event.approval_resolved.approved) for event in resolved] == [("user:ada", True)]
    # It counts as neither a failure nor a retry, and the next task starts a new session.
    assert not [event for event in events if event.HasField("task_failed")]
    assert not any(r.resume_attempt for r in worker.called("StartSession") if "/tasks/two/" in r.attempt)
    assert worker.peak == 1


async def test_an_answer_holds_for_the_rest_of_a_parked_session(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A rule that is allowed for the session applies to the attempt that continues it, and to no other task."""
    run, approval = await parked(scheduler)
    await scheduler.api.ResolveApproval(
        pb.ResolveApprovalRequest(
            attempt=approval.attempt,
            approval_id=approval.approval_id,
            approved=True,
            scope=pb.APPROVAL_SCOPE_SESSION,
            rule="Bash(make *)",
        )
    )
    await scheduler.finished(run)

    allowed = {each.attempt: list(each.permissions.allow) for each in worker.called("StartSession")}
    assert allowed.pop(f"{run}/epics/a/tasks/one/attempts/2") == ["Bash(make *)"]
    assert not any(allowed.values())


async def test_a_parked_task_can_be_stopped_and_tried_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A stop ends the wait and fails the task; a retry starts from scratch without the old question."""
    run, approval = await parked(scheduler)

    stopped = await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=approval.attempt))

    assert stopped.attempt.state == pb.ATTEMPT_STATE_STOPPED
    assert not (await scheduler.api.ListApprovals(pb.ListApprovalsRequest())).approvals
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer(scheduler, approval, approved=True)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    await scheduler.finished(run)
    assert (await scheduler.tasks(run))["a/one"].state == pb.TASK_STATE_FAILED
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/one"))
    await eventually(lambda: any(r.attempt.endswith("one/attempts/2") for r in worker.called("StartSession")))
    assert not worker.called("StartSession")[-1].resume_attempt


async def test_nothing_is_set_aside_beside_a_parked_task(scheduler: Scheduler) -> None:
    """Accepted tasks before a parked one cannot be reset, because its session will continue on their files."""
    run = await scheduler.create(make_plan({"a": ["zero", "one"], "b": ["one"]}), max_parallel=1)
    await scheduler.until(run, lambda event: event.task_waiting.parked)
    request = pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/zero", from_here=True)
    assert await reason_of(scheduler.api.RetryTask(request)) == pb.ERROR_REASON_WRONG_STATE


async def test_a_parked_task_can_be_skipped(scheduler: Scheduler) -> None:
    """After a parked task is skipped, its epic continues without it."""
    run, _ = await parked(scheduler)

    await scheduler.api.SkipTask(pb.SkipTaskRequest(name=f"{run}/epics/a/tasks/one"))

    await scheduler.until(run, lambda event: event.task == "two" and event.HasField("task_accepted"))
    task = (await scheduler.tasks(run))["a/one"]
    assert task.state == pb.TASK_STATE_SKIPPED
    assert task.latest_attempt.state == pb.ATTEMPT_STATE_STOPPED


async def test_a_run_with_a_parked_task_can_be_cancelled(scheduler: Scheduler) -> None:
    """After the run is cancelled, nothing waits for the operator."""
    run, _ = await parked(scheduler)

    cancelled = (await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))).run

    assert cancelled.state == pb.RUN_STATE_CANCELLED
    assert not (await scheduler.api.ListApprovals(pb.ListApprovalsRequest())).approvals


async def test_a_paused_run_keeps_the_answer(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An answer in a paused run starts nothing; resuming the run does."""
    run, approval = await parked(scheduler)
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))

    await answer(scheduler, approval, approved=False, message="not on Fridays")

    task = (await scheduler.tasks(run))["a/one"]
    assert (task.state, task.attempt_count) == (pb.TASK_STATE_PENDING, 1)
    assert not worker.live
    await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))
    await scheduler.finished(run)
    [told] = [each for r in worker.called("StartSession") for each in r.answers if "/one/" in r.attempt]
    assert (told.approved, told.message) == (False, "not on Fridays")


async def test_the_wait_goes_on_counting(worker: FakeWorker, database_url: str, tmp_path: Path) -> None:
    """A question that is not answered in time is denied, even if the scheduler restarts meanwhile."""
    worker.play = ask
    later = timedelta()

    def clock() -> datetime:
        return datetime.now(UTC) + later

    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path, database_url, environ=AT_ONCE, clock=clock) as scheduler:
            run, _ = await parked(scheduler)
        later = timedelta(seconds=700)
        async with scheduling(address, tmp_path, database_url, environ=AT_ONCE, clock=clock) as scheduler:
            events = await scheduler.until(run, lambda event: event.HasField("approval_resolved"))
            assert events[-1].approval_resolved.message == "no answer within 600 s"
            assert not events[-1].approval_resolved.approved
            await scheduler.until(
                run, lambda e: e.task == "one" and e.epic == "a" and e.HasField("task_accepted")
            )


async def test_an_answer_just_before_the_parking_is_recorded_is_kept(
    worker: FakeWorker, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer to a session that the scheduler then records as parked is not lost."""
    worker.play = ask
    hand_over = worker_relay._hand_over

    async def late(*arguments: Any) -> None:
        await scheduler.until(run, lambda event: event.HasField("task_waiting") and event.task_waiting.parked)
        await hand_over(*arguments)

    monkeypatch.setattr(worker_relay, "_hand_over", late)
    asked = asyncio.Event()
    worker.before = lambda method, _: asked.set() if method == "ParkSession" else None
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, database_url, environ=AT_ONCE) as scheduler,
    ):
        run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}), max_parallel=1)
        await asked.wait()
        approval = pb.Approval(attempt=f"{run}/epics/a/tasks/one/attempts/1", approval_id="approval-1")
        await answer(scheduler, approval, approved=True)
        events = await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
        assert sum(event.HasField("approval_resolved") for event in events) == 1


async def test_an_answer_amid_the_parking_is_kept(
    worker: FakeWorker, database_url: str, tmp_path: Path
) -> None:
    """An answer that arrives between the session's parking and the scheduler's record of it is not lost."""
    worker.play = ask
    ending = asyncio.Event()

    def slow_end(method: str, _request: object) -> None:
        if method == "ParkSession":
            ending.set()

    worker.before = slow_end
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, database_url, environ=AT_ONCE) as scheduler,
    ):
        run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}), max_parallel=1)
        await ending.wait()
        attempt = f"{run}/epics/a/tasks/one/attempts/1"
        approval = pb.Approval(attempt=attempt, approval_id="approval-1")
        # Whichever comes first: the worker accepts the answer, says that it has parked, or parking is recorded.
        await answer(scheduler, approval, approved=True)
        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
        events = await scheduler.finished(run)
        assert sum(event.HasField("approval_resolved") for event in events) <= 1
