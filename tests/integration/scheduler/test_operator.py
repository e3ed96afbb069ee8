"""What an operator can do with an active run: pause, cancel, stop, retry, answer."""

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.errors import from_rpc
from heddle.testing.fake_session import FakeSession, Play
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, eventually, make_plan


async def hold(_session: FakeSession) -> pb.SessionFinished:
    """Runs until it is stopped."""
    await asyncio.Event().wait()
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


def started(event: pb.Event) -> bool:
    return event.HasField("session_started")


async def reason_of(call: object) -> "pb.ErrorReason.ValueType":
    """Awaits a call that must fail; returns the reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]  # a call of grpc.aio is awaitable
    error = from_rpc(caught.value)
    assert error is not None
    return error.reason


async def test_paused_run_starts_nothing_until_it_is_resumed(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A pause lets the running session end but no new one start; after a resume, the next one starts."""
    go_on = asyncio.Event()

    async def play(_session: FakeSession) -> pb.SessionFinished:
        await go_on.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    await scheduler.until(run, started)
    paused = (await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))).run
    assert paused.state == pb.RUN_STATE_PAUSED
    go_on.set()
    events = await scheduler.until(run, lambda event: event.HasField("task_accepted"))
    assert [event.actor for event in events if event.HasField("run_paused")] == ["user:ada"]
    assert (await scheduler.tasks(run))["a/two"].state == pb.TASK_STATE_PENDING
    again = (await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))).run
    assert again.state == pb.RUN_STATE_PAUSED

    resumed = (await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))).run

    assert resumed.state == pb.RUN_STATE_RUNNING
    events = await scheduler.finished(run)
    order = [event.WhichOneof("payload") for event in events]
    assert order.index("run_resumed") < len(order) - order[::-1].index("task_started") - 1
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED


async def test_cancel_answers_when_every_session_is_gone(worker: FakeWorker, scheduler: Scheduler) -> None:
    """After a cancel, no session of the run is live and its tasks have ended; a repeat answers the same."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["one"]}))
    await eventually(lambda: len(worker.live) == 2)

    answer = await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))

    assert answer.run.state == pb.RUN_STATE_CANCELLED
    assert answer.run.reason == "cancelled by ada"
    assert not worker.live
    tasks = await scheduler.tasks(run)
    assert tasks["a/one"].latest_attempt.state == pb.ATTEMPT_STATE_STOPPED
    assert tasks["a/two"].state == pb.TASK_STATE_SKIPPED
    again = await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    assert again.run.state == pb.RUN_STATE_CANCELLED


async def test_ended_run_can_be_neither_paused_nor_cancelled(scheduler: Scheduler) -> None:
    """A call that requires an active run is refused with WRONG_STATE after the run has ended."""
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)

    assert (
        await reason_of(scheduler.api.PauseRun(pb.PauseRunRequest(name=run))) == pb.ERROR_REASON_WRONG_STATE
    )
    assert (
        await reason_of(scheduler.api.CancelRun(pb.CancelRunRequest(name=run))) == pb.ERROR_REASON_WRONG_STATE
    )
    retry = pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/one")
    assert await reason_of(scheduler.api.RetryTask(retry)) == pb.ERROR_REASON_WRONG_STATE


async def test_stopped_attempt_is_not_retried_and_the_epic_goes_on(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A stop answers once the session is gone; the task fails without a retry, and all other tasks continue."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        if (session.name.epic, session.name.task) == ("a", "one"):
            await hold(session)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["one"]}, retries=3))
    await scheduler.until(run, lambda event: started(event) and event.epic == "a")
    name = f"{run}/epics/a/tasks/one/attempts/1"

    stopped = (await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=name))).attempt

    assert stopped.state == pb.ATTEMPT_STATE_STOPPED
    assert stopped.reason == "stopped by ada"
    assert name not in {session.request.attempt for session in worker.live}
    await scheduler.finished(run)
    tasks = await scheduler.tasks(run)
    assert tasks["a/one"].state == pb.TASK_STATE_FAILED
    assert tasks["a/one"].attempt_count == 1
    assert tasks["a/two"].state == pb.TASK_STATE_ACCEPTED
    assert tasks["b/one"].state == pb.TASK_STATE_ACCEPTED
    again = (await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=name))).attempt
    assert again.state == pb.ATTEMPT_STATE_STOPPED


async def test_stopped_session_is_resumed_where_the_operator_says_so(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A retry with `resume` continues the last attempt's session and files; a retry without it starts again."""
    requests: list[pb.StartSessionRequest] = []
    session = pb.AgentSession(id="abc", command="cd /w && claude --resume abc")

    async def play(playing: FakeSession) -> pb.SessionFinished:
        requests.append(playing.request)
        playing.emit(agent_session=session)
        await hold(playing)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    async def stop(number: int) -> pb.Attempt:
        attempt = f"{task}/attempts/{number}"
        await eventually(lambda: len(requests) == number)
        return (await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=attempt))).attempt

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one"]}))
    task = f"{run}/epics/a/tasks/one"
    assert (await stop(1)).agent_session == session

    for both in (
        pb.RetryTaskRequest(name=task, resume=True, agent="command:true"),
        pb.RetryTaskRequest(name=task, resume=True, model="another"),
    ):
        assert await reason_of(scheduler.api.RetryTask(both)) == pb.ERROR_REASON_INVALID_FIELD
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=task, resume=True))
    await stop(2)
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=task))
    await stop(3)

    assert [each.resume_attempt for each in requests] == ["", f"{task}/attempts/1", ""]
    assert [each.files_kept for each in requests] == [False, True, False]


async def test_attempt_that_waits_for_a_slot_can_be_stopped(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A stop also ends an attempt that has no session yet."""
    worker.slots = 0
    run = await scheduler.create(make_plan({"a": ["one"]}), max_parallel=1)
    await eventually(lambda: bool(worker.called("StartSession")))

    name = f"{run}/epics/a/tasks/one/attempts/1"
    stopped = (await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=name))).attempt

    assert stopped.state == pb.ATTEMPT_STATE_STOPPED
    assert not worker.sessions


async def test_retry_reopens_an_ended_run_and_merges_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A failed task can be retried after the run has ended; the task runs and its epic is merged again."""
    broken = {"one"}

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.task in broken:
            return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="exit code 1")
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    ended = await scheduler.finished(run)
    before = await scheduler.run(run)
    assert before.state == pb.RUN_STATE_FAILED
    assert (before.tasks.accepted, before.tasks.failed) == (1, 1)
    merges = len(worker.called("MergeBranch"))
    broken.clear()

    request = pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/one", request_id="again")
    task = (await scheduler.api.RetryTask(request)).task
    # Its next attempt may have started before the answer was read.
    assert task.state in {pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING}
    events = await scheduler.until(
        run, lambda event: event.HasField("run_finished"), after=ended[-1].sequence
    )
    repeated = (await scheduler.api.RetryTask(request)).task

    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    assert repeated.attempt_count == 2
    assert repeated.state == pb.TASK_STATE_ACCEPTED
    assert len(worker.called("MergeBranch")) == merges + 1
    epic = (await scheduler.epics(run))["a"]
    assert epic.state == pb.EPIC_STATE_SUCCEEDED


def asking(*questions: pb.ApprovalRequested) -> Play:
    """Returns a session that asks all questions at once and ends when all are answered."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        for question in questions:
            session.emit(approval_requested=question)
        for question in questions:
            approval = question.approval_id
            while approval not in session.answers:
                await session.news()
            resolved = pb.ApprovalResolved(approval_id=approval, approved=session.answers[approval])
            session.emit(approval_resolved=resolved)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    return play


async def test_session_that_asks_waits_for_the_operator(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A question makes the task wait; the agent receives the answer with its sender and continues."""
    worker.play = asking(pb.ApprovalRequested(approval_id="q1", question="Drop the table?"))
    run = await scheduler.create(make_plan({"a": ["one"]}))
    events = await scheduler.until(run, lambda event: event.HasField("task_waiting"))
    assert events[-1].task_waiting.reason == "Drop the table?"
    task = (await scheduler.tasks(run))["a/one"]
    assert task.state == pb.TASK_STATE_WAITING
    assert task.latest_attempt.state == pb.ATTEMPT_STATE_WAITING
    assert task.latest_attempt.summary.waiting_for.question == "Drop the table?"

    answer = pb.ResolveApprovalRequest(attempt=task.latest_attempt.name, approval_id="q1", approved=True)
    await scheduler.api.ResolveApproval(answer)
    await scheduler.finished(run)

    (handed_on,) = worker.called("AnswerApproval")
    assert (handed_on.approved, handed_on.actor) == (True, "user:ada")
    assert (await scheduler.tasks(run))["a/one"].state == pb.TASK_STATE_ACCEPTED
    assert await reason_of(scheduler.api.ResolveApproval(answer)) == pb.ERROR_REASON_WRONG_STATE


async def test_approval_can_hold_for_the_whole_run(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An answer for the whole run becomes a rule of every later session, including those of added tasks."""

    async def ask_once(session: FakeSession) -> pb.SessionFinished:
        if "/tasks/one/" in session.request.attempt:
            asked = pb.ApprovalRequested(approval_id="q1", question="May it?", tool="Bash", target="make x")
            session.emit(approval_requested=asked)
            while "q1" not in session.answers:
                await session.news()
            (told,) = worker.called("AnswerApproval")
            resolved = pb.ApprovalResolved(approval_id="q1", approved=True, scope=told.scope, rule=told.rule)
            session.emit(approval_resolved=resolved)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = ask_once
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    await scheduler.until(run, lambda event: event.HasField("task_waiting"))
    answer = pb.ResolveApprovalRequest(
        attempt=f"{run}/epics/a/tasks/one/attempts/1", approval_id="q1", scope=pb.APPROVAL_SCOPE_RUN
    )
    plain = pb.ResolveApprovalRequest(attempt=answer.attempt, approval_id="q1", approved=True, rule="Bash")
    for wrong in (answer, plain):
        assert await reason_of(scheduler.api.ResolveApproval(wrong)) == pb.ERROR_REASON_INVALID_FIELD
    answer.approved = True
    await scheduler.api.ResolveApproval(answer)
    events = await scheduler.finished(run)
    added = pb.PlanTask(prompt="More.", key="three")
    await scheduler.api.AddTask(pb.AddTaskRequest(parent=f"{run}/epics/a", task=added))

    async def over() -> bool:
        return (await scheduler.tasks(run))["a/three"].state == pb.TASK_STATE_ACCEPTED

    await eventually(over)
    started = [request.permissions.allow for request in worker.called("StartSession")]
    assert started == [[], ["Bash(make x)"], ["Bash(make x)"]]
    (resolved,) = [event.approval_resolved for event in events if event.HasField("approval_resolved")]
    assert (resolved.scope, resolved.rule) == (pb.APPROVAL_SCOPE_RUN, "Bash(make x)")


async def test_attention_queue_holds_every_open_question(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Open questions of all runs are listed in pages, oldest first, until they are answered or obsolete."""
    wait = Duration(seconds=60)
    questions = [
        pb.ApprovalRequested(approval_id=each, question=f"{each}?", wait=wait) for each in ("x", "y")
    ]
    worker.play = asking(*questions)
    asked = []
    for _ in range(2):
        run = await scheduler.create(make_plan({"a": ["one"]}))
        await scheduler.until(run, lambda event: event.task_waiting.reason == "y?")
        asked += [(f"{run}/epics/a/tasks/one/attempts/1", each) for each in ("x", "y")]

    assert await queue(scheduler, page_size=3) == asked
    (first, *_) = (await scheduler.api.ListApprovals(pb.ListApprovalsRequest())).approvals
    assert first.question == "x?"
    assert first.deny_time.ToNanoseconds() - first.request_time.ToNanoseconds() == 60 * 10**9

    attempt, approval = asked[0]
    answer = pb.ResolveApprovalRequest(attempt=attempt, approval_id=approval, approved=False)
    await scheduler.api.ResolveApproval(answer)
    await scheduler.until(attempt.partition("/epics")[0], lambda event: event.HasField("approval_resolved"))
    assert await queue(scheduler) == asked[1:]
    task = (await scheduler.tasks(attempt.partition("/epics")[0]))["a/one"]
    assert task.state == pb.TASK_STATE_WAITING, "the other question is still open"

    await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=attempt))
    assert await queue(scheduler) == asked[2:]
    ended = (await scheduler.api.GetAttempt(pb.GetAttemptRequest(name=attempt))).attempt
    assert not ended.approvals


async def queue(scheduler: Scheduler, page_size: int = 0) -> list[tuple[str, str]]:
    """Returns (attempt, approval) of every open question."""
    found: list[tuple[str, str]] = []
    request = pb.ListApprovalsRequest(page_size=page_size)
    while True:
        page = await scheduler.api.ListApprovals(request)
        found += [(each.attempt, each.approval_id) for each in page.approvals]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_message_reaches_the_agent(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The attempt's session receives the operator's message and its sender; an ended attempt refuses it."""

    async def listen(session: FakeSession) -> pb.SessionFinished:
        while not session.heard:
            await session.news()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = listen
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.until(run, started)
    message = pb.SendMessageRequest(
        attempt=f"{run}/epics/a/tasks/one/attempts/1", text="Use tabs", message_id="m1"
    )
    await scheduler.api.SendMessage(message)
    await scheduler.finished(run)

    (told,) = worker.called("SendMessage")
    assert (told.text, told.message_id, told.actor) == ("Use tabs", "m1", "user:ada")
    assert await reason_of(scheduler.api.SendMessage(message)) == pb.ERROR_REASON_WRONG_STATE


async def test_message_before_the_start_is_refused(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A message to an attempt whose session has not started is refused."""
    worker.slots = 0
    run = await scheduler.create(make_plan({"a": ["one"]}), max_parallel=1)
    await eventually(lambda: bool(worker.called("StartSession")))
    message = pb.SendMessageRequest(attempt=f"{run}/epics/a/tasks/one/attempts/1", text="Hello?")
    assert await reason_of(scheduler.api.SendMessage(message)) == pb.ERROR_REASON_WRONG_STATE


async def test_parallelism_is_changed_while_a_run_goes_on(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A higher limit starts sessions at once, a lower one ends none; 0 and an ended run are refused."""
    go_on = asyncio.Event()

    async def play(_session: FakeSession) -> pb.SessionFinished:
        await go_on.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({key: ["one"] for key in "abc"}), max_parallel=1)
    await eventually(lambda: len(worker.live) == 1)

    changed = await scheduler.api.UpdateRun(pb.UpdateRunRequest(name=run, max_parallel=2))

    assert changed.run.max_parallel == 2
    await eventually(lambda: len(worker.live) == 2)
    forecast = (await scheduler.api.ForecastRun(pb.ForecastRunRequest(name=run))).forecast
    assert not forecast.HasField("remaining")
    await scheduler.api.UpdateRun(pb.UpdateRunRequest(name=run, max_parallel=1))
    assert len(worker.live) == 2
    none = pb.UpdateRunRequest(name=run, max_parallel=0)
    assert await reason_of(scheduler.api.UpdateRun(none)) == pb.ERROR_REASON_INVALID_FIELD
    go_on.set()
    events = await scheduler.finished(run)
    updates = [event for event in events if event.HasField("run_updated")]
    assert [(event.actor, event.run_updated.max_parallel) for event in updates] == [
        ("user:ada", 2),
        ("user:ada", 1),
    ]
    late = pb.UpdateRunRequest(name=run, max_parallel=3)
    assert await reason_of(scheduler.api.UpdateRun(late)) == pb.ERROR_REASON_WRONG_STATE
    forecast = (await scheduler.api.ForecastRun(pb.ForecastRunRequest(name=run))).forecast
    assert (forecast.measured_tasks, forecast.remaining.ToMilliseconds()) == (3, 0)
