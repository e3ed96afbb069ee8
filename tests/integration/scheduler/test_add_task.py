"""Tasks that an operator adds to an epic, during a run or after its end."""

import asyncio
from typing import Any

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_operator import hold, reason_of, started
from tests.integration.scheduler.test_skip import fail_first
from tests.support.scheduler import Scheduler, make_plan


def add(epic: str, prompt: str = "Fix the colors.", request_id: str = "", **task: Any) -> pb.AddTaskRequest:
    asked = pb.PlanTask(prompt=prompt, **task)
    return pb.AddTaskRequest(parent=epic, task=asked, request_id=request_id)


async def test_added_task_of_a_merged_epic_runs_and_is_merged_again(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The run continues; the task has the plan's defaults and the last task's agent; a repeat adds nothing."""
    run = await scheduler.create(make_plan({"a": ["one"]}, retries=2, model="small"))
    ended = await scheduler.finished(run)
    request = add(f"{run}/epics/a", "\n# Fix the colors.\n\nAll of them.", request_id="r1")
    task = (await scheduler.api.AddTask(request)).task
    assert (task.key, task.title, task.position) == ("fix-the-colors", "Fix the colors.", 2)
    assert (task.agent, task.retries) == ("scripted", 2)
    again = (await scheduler.api.AddTask(request)).task
    assert again.name == task.name

    events = await scheduler.finished(run, after=ended[-1].sequence)

    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds[0] == "task_added"
    assert events[0].actor == "user:ada"
    assert kinds.count("merge_finished") == 1
    assert (await scheduler.tasks(run))["a/fix-the-colors"].state == pb.TASK_STATE_ACCEPTED
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert worker.called("StartSession")[-1].model == "small"


async def test_an_added_task_may_name_its_own_model(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A model without an agent replaces that of the epic's last task; an agent comes without that model."""
    may_end = asyncio.Event()

    async def play(_session: FakeSession) -> pb.SessionFinished:
        await may_end.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one"]})
    plan.epics[0].tasks[0].model = "small"
    run = await scheduler.create(plan)
    await scheduler.until(run, started)
    asked: list[dict[str, str]] = [
        {"key": "small"},
        {"key": "large", "model": "large"},
        {"key": "none", "agent": "scripted"},
        {"key": "other", "agent": "scripted", "model": "other"},
    ]
    for task in asked:
        await scheduler.api.AddTask(add(f"{run}/epics/a", **task))
    may_end.set()
    await scheduler.finished(run)
    models = {each.attempt.split("/")[5]: each.model for each in worker.called("StartSession")}
    assert models == {"one": "small", "small": "small", "large": "large", "none": "", "other": "other"}


async def test_task_added_to_a_running_epic_comes_last(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A key derived from a title that is in use gets a number; an explicit key that is in use is refused."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    events = await scheduler.until(run, started)
    epic = f"{run}/epics/a"
    assert (await scheduler.api.AddTask(add(epic, title="Two"))).task.key == "two-2"
    assert (await scheduler.api.AddTask(add(epic, title="Two"))).task.position == 4
    assert await reason_of(scheduler.api.AddTask(add(epic, key="ONE"))) == pb.ERROR_REASON_INVALID_FIELD
    assert await reason_of(scheduler.api.AddTask(add(epic, key="a/b"))) == pb.ERROR_REASON_INVALID_FIELD
    assert "epic_ready" not in [event.WhichOneof("payload") for event in events[-2:]]
    assert (await scheduler.run(run)).tasks.total == 4


async def test_task_that_could_not_run_is_refused(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A task without a prompt, with a missing agent, or in a missing or stopped epic is refused."""
    worker.play = fail_first
    run = await scheduler.create(make_plan({"a": ["one", "two"]}, on_failure=pb.ON_FAILURE_STOP_EPIC))
    await scheduler.finished(run)
    epic = f"{run}/epics/a"
    for request, reason in (
        (add(epic, " "), pb.ERROR_REASON_INVALID_PLAN),
        (add(epic, agent="claude"), pb.ERROR_REASON_UNKNOWN_AGENT),
        (add(epic, agent="nonsense"), pb.ERROR_REASON_INVALID_PLAN),
        (add(f"{run}/epics/b"), pb.ERROR_REASON_NOT_FOUND),
        (add(epic), pb.ERROR_REASON_WRONG_STATE),
    ):
        assert await reason_of(scheduler.api.AddTask(request)) == reason
    assert (await scheduler.run(run)).tasks.total == 2
