"""What an operator can do about a failed task: skip it, or assign it to another agent."""

from typing import Any

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_operator import hold, reason_of, started
from tests.support.scheduler import Scheduler, make_plan


async def fail_first(session: FakeSession) -> pb.SessionFinished:
    """Fails the tasks that are called "one"."""
    if session.name.task == "one":
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="exit code 1")
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


def skip(task: str, **fields: Any) -> pb.SkipTaskRequest:
    return pb.SkipTaskRequest(name=task, **fields)


def retry(task: str, **fields: Any) -> pb.RetryTaskRequest:
    return pb.RetryTaskRequest(name=task, **fields)


async def test_skipped_pending_task_never_runs(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A task that is skipped before its turn never runs; its epic continues, is merged and succeeds."""
    run = await scheduler.create(make_plan({"a": ["one", "two", "three"]}), max_parallel=1)
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))
    task = f"{run}/epics/a/tasks/two"

    skipped = (await scheduler.api.SkipTask(skip(task, request_id="s1"))).task

    assert (skipped.state, skipped.reason) == (pb.TASK_STATE_SKIPPED, "skipped by ada")
    assert (await scheduler.api.SkipTask(skip(task))).task == skipped
    await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))
    events = await scheduler.finished(run)
    (told,) = [event for event in events if event.HasField("task_skipped")]
    assert (told.task, told.actor) == ("two", "user:ada")
    assert [session.name.task for session in worker.sessions.values()] == ["one", "three"]
    assert (await scheduler.epics(run))["a"].state == pb.EPIC_STATE_SUCCEEDED
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED


async def test_skipping_a_failed_task_lets_its_epic_go_on(worker: FakeWorker, scheduler: Scheduler) -> None:
    """After the failed task is skipped, the tasks that its failure stopped run, and the epic succeeds."""
    worker.play = fail_first
    plan = make_plan({"a": ["one", "two"], "b": ["two"]}, on_failure=pb.ON_FAILURE_STOP_EPIC)
    run = await scheduler.create(plan)
    ended = await scheduler.finished(run)
    assert (await scheduler.tasks(run))["a/two"].state == pb.TASK_STATE_SKIPPED
    assert (await scheduler.epics(run))["a"].state == pb.EPIC_STATE_FAILED

    await scheduler.api.SkipTask(skip(f"{run}/epics/a/tasks/one"))
    again = await scheduler.finished(run, after=ended[-1].sequence)

    assert again[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    tasks = await scheduler.tasks(run)
    assert tasks["a/one"].state == pb.TASK_STATE_SKIPPED
    assert tasks["a/two"].state == pb.TASK_STATE_ACCEPTED
    assert (await scheduler.epics(run))["a"].state == pb.EPIC_STATE_SUCCEEDED


async def test_epic_without_any_task_left_is_skipped(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An epic whose only task failed and was skipped ends as skipped, with the reason."""
    worker.play = fail_first
    run = await scheduler.create(make_plan({"a": ["one"]}))
    ended = await scheduler.finished(run)
    await scheduler.api.SkipTask(skip(f"{run}/epics/a/tasks/one"))
    await scheduler.finished(run, after=ended[-1].sequence)
    epic = (await scheduler.epics(run))["a"]
    assert (epic.state, epic.reason) == (pb.EPIC_STATE_SKIPPED, "all of its tasks were skipped")


async def test_skipped_task_can_be_retried(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A retry undoes a skip."""
    worker.play = fail_first
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    task = f"{run}/epics/a/tasks/one"
    ended = await scheduler.finished(run)
    await scheduler.api.SkipTask(skip(task))
    ended = await scheduler.finished(run, after=ended[-1].sequence)
    worker.play = hold
    await scheduler.api.RetryTask(retry(task))
    await scheduler.until(run, started, after=ended[-1].sequence)
    assert (await scheduler.tasks(run))["a/one"].attempt_count == 2
    assert await reason_of(scheduler.api.SkipTask(skip(task))) == pb.ERROR_REASON_WRONG_STATE
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    assert await reason_of(scheduler.api.SkipTask(skip(task))) == pb.ERROR_REASON_WRONG_STATE


async def test_accepted_task_can_be_neither_skipped_nor_retried(scheduler: Scheduler) -> None:
    """An accepted task cannot be skipped or retried, because later tasks build on it."""
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    task = f"{run}/epics/a/tasks/one"
    assert await reason_of(scheduler.api.SkipTask(skip(task))) == pb.ERROR_REASON_WRONG_STATE
    assert await reason_of(scheduler.api.RetryTask(retry(task))) == pb.ERROR_REASON_WRONG_STATE
    missing = skip(f"{run}/epics/a/tasks/other")
    assert await reason_of(scheduler.api.SkipTask(missing)) == pb.ERROR_REASON_NOT_FOUND


async def test_another_agent_does_the_task_from_now_on(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A retry may name another agent, which starts without the model that was set for the previous one."""
    worker.play = fail_first
    plan = make_plan({"a": ["one"]}, model="small")
    run = await scheduler.create(plan)
    ended = await scheduler.finished(run)
    worker.play = hold
    request = retry(f"{run}/epics/a/tasks/one", agent="command:make it", request_id="r1")
    task = (await scheduler.api.RetryTask(request)).task
    assert task.agent == "command:make it"
    await scheduler.until(run, started, after=ended[-1].sequence)
    asked = worker.called("StartSession")[-1]
    assert (asked.agent, asked.model) == ("command:make it", "")
    assert (await scheduler.api.RetryTask(request)).task.attempt_count == 2


async def test_agent_that_cannot_do_the_task_is_refused(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An agent that the worker lacks, a malformed one, and one that needs a missing prompt are refused."""
    worker.play = fail_first
    plan = make_plan({"a": ["one"]})
    fails = pb.ScriptStep(fail=pb.ScriptStep.Fail(message="no"))
    plan.epics[0].tasks[0].CopyFrom(pb.PlanTask(key="one", script=[fails]))
    run = await scheduler.create(plan)
    await scheduler.finished(run)
    task = f"{run}/epics/a/tasks/one"
    for agent, reason in (
        ("claude", pb.ERROR_REASON_UNKNOWN_AGENT),
        ("nonsense", pb.ERROR_REASON_UNKNOWN_AGENT),
        ("command:true", pb.ERROR_REASON_INVALID_FIELD),
    ):
        assert await reason_of(scheduler.api.RetryTask(retry(task, agent=agent))) == reason
    assert (await scheduler.tasks(run))["a/one"].state == pb.TASK_STATE_FAILED
