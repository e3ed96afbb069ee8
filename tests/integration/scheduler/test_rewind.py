"""An operator resets accepted tasks of an epic, so that they run again."""

import asyncio
from typing import Any

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_operator import hold, reason_of, started
from tests.support.scheduler import Scheduler, make_plan


def manual(epics: dict[str, list[str]], **defaults: Any) -> pb.Plan:
    """Returns a plan whose epics wait for a manual merge."""
    return make_plan(epics, merge=pb.MERGE_POLICY_MANUAL, **defaults)


def from_here(task: str, **fields: Any) -> pb.RetryTaskRequest:
    return pb.RetryTaskRequest(name=task, from_here=True, **fields)


def waits(event: pb.Event) -> bool:
    """Returns whether the event says that an epic waits to be merged."""
    return event.HasField("merge_waiting")


async def test_accepted_tasks_are_done_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Tasks that are reset run again in order on the last kept commit, as if they had never run."""
    failing = {"two/attempts/1", "two/attempts/3"}

    async def play(session: FakeSession) -> pb.SessionFinished:
        fails = session.request.attempt.partition("/tasks/")[2] in failing
        return pb.SessionFinished(
            outcome=pb.OUTCOME_FAILED if fails else pb.OUTCOME_SUCCEEDED, reason="no luck"
        )

    worker.play = play
    run = await scheduler.create(manual({"a": ["one", "two", "three"]}, agent="command:make", retries=1))
    before = await scheduler.until(run, waits)
    one, two, three = [task.commit for task in (await scheduler.tasks(run)).values()]
    request = from_here(f"{run}/epics/a/tasks/two", request_id="again")

    task = (await scheduler.api.RetryTask(request)).task
    events = await scheduler.until(run, waits, after=before[-1].sequence)
    assert (await scheduler.api.RetryTask(request)).task.attempt_count == 4

    # Its next attempt may have started before the answer was read.
    assert task.state in {pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING}
    assert task.commit == ""
    reopened = [event for event in events if event.HasField("task_reopened")]
    assert [(event.task, event.task_reopened.commit) for event in reopened] == [
        ("two", two),
        ("three", three),
    ]
    assert {event.actor for event in reopened} == {"user:ada"}
    accepted = [event.task for event in events if event.HasField("task_accepted")]
    assert accepted == ["two", "three"]
    asked = {each.attempt.partition("/tasks/")[2]: each for each in worker.called("EnsureWorktree")}
    assert asked["two/attempts/3"].rewind_to == asked["two/attempts/4"].rewind_to == f"{two}^"
    assert not asked["three/attempts/2"].rewind_to
    [(branch, made)] = worker.commits.items()
    tasks = await scheduler.tasks(run)
    assert [commit for commit, _ in made] == [one, tasks["a/two"].commit, tasks["a/three"].commit]
    assert worker.rewound == {f"{run}/epics/a/tasks/two/attempts/3": [two, three]}
    assert (await scheduler.epics(run))["a"].head_commit == tasks["a/three"].commit
    # Failures before the task was accepted are ignored; later failures are in the prompt, and were retried.
    prompts = {
        each.attempt[-1]: each.prompt for each in worker.called("StartSession") if "/two/" in each.attempt
    }
    assert "no luck" not in prompts["3"]
    assert "no luck" in prompts["4"]
    await scheduler.api.RetryMerge(pb.RetryMergeRequest(name=f"{run}/epics/a"))
    await scheduler.finished(run, after=events[-1].sequence)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert worker.merged[f"heddle/{run.removeprefix('runs/')}/merged"] == [branch]


async def test_what_failed_or_did_not_run_since_is_done_anew_too(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """If a failed task stopped the epic and its run, both can be continued from an earlier accepted task."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        fails = session.request.attempt.endswith("two/attempts/1")
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED if fails else pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one", "two", "three"]}, on_failure=pb.ON_FAILURE_STOP_EPIC)
    run = await scheduler.create(plan)
    ended = await scheduler.finished(run)
    [two] = [event for event in ended if event.HasField("task_skipped")]
    assert two.task == "three"

    task = await scheduler.api.RetryTask(from_here(f"{run}/epics/a/tasks/one", agent="command:other"))
    assert task.task.agent == "command:other"
    again = await scheduler.finished(run, after=ended[-1].sequence)

    reopened = [event.task for event in again if event.HasField("task_reopened")]
    assert reopened == ["one", "two", "three"]
    assert again[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    assert [each.agent for each in worker.called("StartSession")][-3:] == [
        "command:other",
        "scripted",
        "scripted",
    ]


async def test_nothing_is_merged_while_the_branch_holds_what_was_set_aside(scheduler: Scheduler) -> None:
    """If reset tasks are skipped before they run, the epic is not merged and says why; a retry fixes that."""
    plan = manual({"a": ["one", "two"], "b": ["one"]})
    run = await scheduler.create(plan)
    await scheduler.until(run, lambda event: event.epic == "a" and waits(event))
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))
    two = f"{run}/epics/a/tasks/two"
    await scheduler.api.RetryTask(from_here(two))
    await scheduler.api.SkipTask(pb.SkipTaskRequest(name=two))
    await scheduler.until(run, lambda event: event.HasField("epic_finished"))
    epic = (await scheduler.epics(run))["a"]
    assert epic.state == pb.EPIC_STATE_FAILED
    assert "still holds what was set aside" in epic.reason

    known = (await scheduler.run(run)).sequence
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=two))
    await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))
    await scheduler.until(run, lambda event: event.epic == "a" and waits(event), after=known)
    assert (await scheduler.epics(run))["a"].state == pb.EPIC_STATE_AWAITING_MERGE


async def test_a_session_that_was_lost_does_not_go_on_upon_other_files(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A lost session is not resumed if the task before it was reset: the next attempt starts from scratch."""
    lose = asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.request.attempt.endswith("two/attempts/1"):
            await lose.wait()
            return pb.SessionFinished(outcome=pb.OUTCOME_LOST)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(manual({"a": ["one", "two"]}))
    await scheduler.until(run, lambda event: event.task == "two" and started(event))
    one = from_here(f"{run}/epics/a/tasks/one")
    assert await reason_of(scheduler.api.RetryTask(one)) == pb.ERROR_REASON_WRONG_STATE
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))
    lose.set()
    await scheduler.until(run, lambda event: event.HasField("task_failed"))
    await scheduler.api.RetryTask(one)
    await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))
    await scheduler.until(run, waits)
    assert [each.resume_attempt for each in worker.called("StartSession")] == ["", "", "", ""]


async def test_what_cannot_be_set_aside(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A merged task, a task that never ran and a skipped task cannot be reset, and nothing changes."""
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    before = await scheduler.tasks(run)
    merged = await reason_of(scheduler.api.RetryTask(from_here(f"{run}/epics/a/tasks/one")))
    assert merged == pb.ERROR_REASON_WRONG_STATE
    assert await scheduler.tasks(run) == before
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    two = f"{run}/epics/a/tasks/two"
    assert await reason_of(scheduler.api.RetryTask(from_here(two))) == pb.ERROR_REASON_WRONG_STATE
    await scheduler.api.SkipTask(pb.SkipTaskRequest(name=two))
    assert await reason_of(scheduler.api.RetryTask(from_here(two))) == pb.ERROR_REASON_WRONG_STATE
