"""Tasks that need tasks of other epics."""

import asyncio
from typing import Any

from heddle import errors, pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_skip import fail_first
from tests.support.scheduler import Scheduler, make_plan


def a_plan() -> pb.Plan:
    """Epic b's second task needs a's first; a's third needs b's second."""
    plan = make_plan({"a": ["one", "two", "three"], "b": ["base", "next"]})
    plan.epics[1].tasks[1].needs.append("a/one")
    plan.epics[0].tasks[2].needs.append("b/next")
    return plan


async def test_a_task_waits_for_what_it_needs(worker: FakeWorker, scheduler: Scheduler) -> None:
    """It starts after the acceptance, with the accepted commit; the tasks before it in its epic do not wait."""
    let_go = asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.task == "one":
            await let_go.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(a_plan())
    await scheduler.until(run, lambda event: event.task == "base" and event.HasField("task_accepted"))
    tasks = await scheduler.tasks(run)
    assert tasks["b/next"].state == pb.TASK_STATE_PENDING
    assert list(tasks["b/next"].needs) == ["a/one"]
    let_go.set()
    events = await scheduler.finished(run)
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    order = [f"{each.epic}/{each.task}" for each in events if each.HasField("task_accepted")]
    assert order.index("a/one") < order.index("b/next") < order.index("a/three")
    tasks = await scheduler.tasks(run)
    taken = {request.attempt.split("/tasks/")[1]: request for request in worker.called("EnsureWorktree")}
    assert list(taken["next/attempts/1"].take_in) == [tasks["a/one"].commit]
    assert not taken["base/attempts/1"].take_in
    assert not taken["next/attempts/1"].resolve_conflict


async def test_a_task_fails_with_what_it_needs(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Without an attempt, and its epic goes on as after any failure; both can be retried."""
    worker.play = fail_first
    plan = make_plan({"a": ["one"], "b": ["base", "next", "last"]})
    plan.epics[1].tasks[1].needs.append("a/one")
    run = await scheduler.create(plan)
    ended = await scheduler.finished(run)
    tasks = await scheduler.tasks(run)
    assert tasks["b/next"].state == pb.TASK_STATE_FAILED
    assert tasks["b/next"].reason == "a/one, which it needs, was not accepted"
    assert tasks["b/next"].attempt_count == 0
    assert tasks["b/last"].state == pb.TASK_STATE_ACCEPTED
    assert (await scheduler.epics(run))["b"].merge_commit
    await scheduler.api.SkipTask(pb.SkipTaskRequest(name=f"{run}/epics/a/tasks/one"))
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{run}/epics/b/tasks/next"))
    await scheduler.finished(run, after=ended[-1].sequence)
    assert (await scheduler.tasks(run))["b/next"].state == pb.TASK_STATE_ACCEPTED


async def test_a_conflict_with_what_it_needs_uses_up_no_retry(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The task fails at once with the worker's advice; an epic with on_conflict: agent asks for the merge with markers."""
    plan = make_plan({"a": ["one"], "b": ["next"]}, retries=3, agent="command:x")
    plan.epics[1].tasks[0].needs.append("a/one")

    def refuse(method: str, request: Any) -> None:
        if method == "EnsureWorktree" and request.take_in and not request.resolve_conflict:
            raise errors.HeddleError(
                pb.ERROR_REASON_NEEDS_CONFLICT, "conflicts in shared.txt", files="shared.txt"
            )

    worker.before = refuse
    run = await scheduler.create(plan)
    ended = await scheduler.finished(run)
    task = (await scheduler.tasks(run))["b/next"]
    assert (task.state, task.attempt_count) == (pb.TASK_STATE_FAILED, 1)
    assert "conflicts in shared.txt" in task.reason
    plan.epics[1].on_conflict = pb.ON_CONFLICT_AGENT
    await scheduler.api.ApplyPlan(pb.ApplyPlanRequest(name=run, plan=plan))
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=task.name))
    await scheduler.finished(run, after=ended[-1].sequence)
    assert (await scheduler.tasks(run))["b/next"].state == pb.TASK_STATE_ACCEPTED
