"""Candidates whose scheduler or worker ends between two steps, and what an operator does meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_operator import hold, reason_of
from tests.support.scheduler import Scheduler, Step, make_plan, scheduling_after

TRIED = "epics/a/tasks/one"


async def play(session: FakeSession) -> pb.SessionFinished:
    """Costs a cent; the score of a candidate is its number."""
    session.emit(usage=pb.Usage(model="m", output_tokens=1, cost_usd_micros=10_000))
    for check in session.request.checks:
        number = session.request.environment["HEDDLE_CANDIDATE"]
        session.emit(check_finished=pb.CheckFinished(name=check.name, ok=True, exit_code=0, output=number))
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


def tried_plan(*, score: str = "score") -> pb.Plan:
    plan = make_plan({"a": ["one", "two"]})
    plan.epics[0].tasks[0].candidates.extend([pb.PlanCandidate()] * 2)
    plan.epics[0].tasks[0].score = score
    return plan


STEPS: dict[str, Step] = {
    "a candidate gets its worktree": ("EnsureWorktree", lambda asked: "one@2/" in asked.attempt),
    "a candidate starts": ("StartSession", lambda asked: "one@1/" in asked.attempt),
    "its work is submitted": ("CommitTask", lambda asked: asked.submit and "one@2/" in asked.attempt),
    "the task gets the work": ("EnsureWorktree", lambda asked: "one/" in asked.attempt),
    "the work is accepted": ("CommitTask", lambda asked: bool(asked.submitted_commit)),
}


@pytest.mark.parametrize("step", STEPS)
async def test_candidates_survive_the_end_of_their_scheduler(tmp_path: Path, step: str) -> None:
    """If the scheduler ends before any step, the next one accepts the same single candidate, at the same cost."""
    worker = FakeWorker()
    worker.play = play
    async with scheduling_after(STEPS[step], worker, tried_plan(), tmp_path) as (second, run):
        events = await second.finished(run)
        ended, tasks = await second.run(run), await second.tasks(run)

    assert ended.state == pb.RUN_STATE_SUCCEEDED
    assert (ended.tasks.total, ended.tasks.accepted) == (2, 2)
    assert tasks["a/one"].chosen_candidate == 2
    assert [pb.AttemptState.Name(tasks[key].latest_attempt.state) for key in ("a/one@1", "a/one@2")] == [
        "ATTEMPT_STATE_NOT_CHOSEN",
        "ATTEMPT_STATE_ACCEPTED",
    ]
    assert [attempt for _, attempt in worker.commits["heddle/" + run.split("/")[1] + "/epics/a"]] == [
        f"{run}/{TRIED}@2/attempts/1",
        f"{run}/epics/a/tasks/two/attempts/1",
    ]
    assert sum(each.HasField("candidate_chosen") for each in events) == 1
    # Two candidates and the other task; what takes over the work costs nothing.
    assert ended.usage.cost_usd_micros == 30_000
    assert not any("one/" in each.attempt for each in worker.called("StartSession"))


def started(key: str) -> Callable[[pb.Event], bool]:
    return lambda event: event.task == key and event.HasField("session_started")


async def test_a_cancelled_run_ends_its_candidates(worker: FakeWorker, scheduler: Scheduler) -> None:
    """All of them are stopped, and the task is skipped; before that, it can neither be skipped nor retried."""
    worker.play = hold
    run = await scheduler.create(tried_plan(), max_parallel=1)
    await scheduler.until(run, started("one@1"))
    task = f"{run}/{TRIED}"
    for refused in (
        scheduler.api.SkipTask(pb.SkipTaskRequest(name=task)),
        scheduler.api.RetryTask(pb.RetryTaskRequest(name=task)),
        scheduler.api.ChooseCandidate(pb.ChooseCandidateRequest(name=task, candidate=1)),
        scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/two", from_here=True)),
    ):
        assert await reason_of(refused) == pb.ERROR_REASON_WRONG_STATE
    for refused in (
        scheduler.api.SkipTask(pb.SkipTaskRequest(name=f"{task}@1")),
        scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{task}@1")),
        scheduler.api.ChooseCandidate(pb.ChooseCandidateRequest(name=f"{task}@1", candidate=1)),
    ):
        assert await reason_of(refused) == pb.ERROR_REASON_INVALID_FIELD
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    await scheduler.finished(run)
    tasks = await scheduler.tasks(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_CANCELLED
    assert {key: pb.TaskState.Name(each.state) for key, each in tasks.items()} == {
        "a/one": "TASK_STATE_SKIPPED",
        "a/one@1": "TASK_STATE_FAILED",
        "a/one@2": "TASK_STATE_SKIPPED",
        "a/two": "TASK_STATE_SKIPPED",
    }


async def test_a_failed_task_is_tried_again_on_request(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Stopped candidates are not tried again by themselves; a retry starts all of them, and a rewind as well."""
    stops = True

    async def some(session: FakeSession) -> pb.SessionFinished:
        return await (hold if stops and session.name.parent.candidate else play)(session)

    worker.play = some
    plan = tried_plan()
    plan.epics[0].merge = pb.MERGE_POLICY_MANUAL
    run = await scheduler.create(plan)
    await scheduler.until(run, started("one@2"))
    for number in (1, 2):
        await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=f"{run}/{TRIED}@{number}/attempts/1"))
    await scheduler.until(run, lambda event: event.HasField("merge_waiting"))
    failed = (await scheduler.tasks(run))["a/one"]
    assert failed.state == pb.TASK_STATE_FAILED
    assert failed.reason.startswith("none of its 2 candidates passed; the first: stopped by")
    stops = False
    reached = (await scheduler.run(run)).sequence
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=failed.name))
    await scheduler.until(run, lambda event: event.HasField("merge_waiting"), reached)
    tasks = await scheduler.tasks(run)
    assert (tasks["a/one"].state, tasks["a/one@1"].attempt_count) == (pb.TASK_STATE_ACCEPTED, 2)

    reached = (await scheduler.run(run)).sequence
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=failed.name, from_here=True))
    await scheduler.until(run, lambda event: event.HasField("merge_waiting"), reached)
    tasks = await scheduler.tasks(run)
    assert (tasks["a/one"].state, tasks["a/one@1"].attempt_count) == (pb.TASK_STATE_ACCEPTED, 3)
    asked = [each for each in worker.called("EnsureWorktree") if "one@1/attempts/3" in each.attempt]
    assert asked[0].rewind_to.endswith("^")


async def test_a_choice_waits_while_its_run_is_paused(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A paused run accepts the chosen work and starts nothing. Only the next task takes time after the choice."""
    worker.play = play
    plan = tried_plan(score="")
    for planned, seconds in zip(plan.epics[0].tasks, (480, 30), strict=True):
        planned.estimate.FromSeconds(seconds)
    run = await scheduler.create(plan)
    await scheduler.until(run, lambda event: event.HasField("task_waiting"))
    assert (await scheduler.run(run)).tasks.waiting == 1
    forecast = (await scheduler.api.ForecastRun(pb.ForecastRunRequest(name=run))).forecast
    assert (forecast.remaining.ToSeconds(), forecast.after_operator.ToSeconds()) == (30, 30)
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))
    task = f"{run}/{TRIED}"
    answer = await scheduler.api.ChooseCandidate(pb.ChooseCandidateRequest(name=task, candidate=1))
    assert answer.task.chosen_candidate == 1
    await scheduler.until(run, lambda event: event.HasField("task_accepted"))
    tasks = await scheduler.tasks(run)
    assert (tasks["a/one"].state, tasks["a/two"].state) == (pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_PENDING)
    await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))
    await scheduler.finished(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED


async def test_a_choice_can_be_skipped(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The task is skipped without an accepted candidate, and none of them waits for a choice any more."""
    worker.play = play
    run = await scheduler.create(tried_plan(score=""))
    await scheduler.until(run, lambda event: event.HasField("task_waiting"))
    task = f"{run}/{TRIED}"
    await scheduler.api.SkipTask(pb.SkipTaskRequest(name=task))
    await scheduler.finished(run)
    tasks = await scheduler.tasks(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert tasks["a/one"].state == pb.TASK_STATE_SKIPPED
    assert tasks["a/one@1"].latest_attempt.state == pb.ATTEMPT_STATE_NOT_CHOSEN


async def test_candidates_share_the_budget_of_their_task(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Each reserves its part before it starts; together they have no more than the budget."""
    worker.play = hold
    plan = tried_plan()
    plan.epics[0].tasks[0].budget_usd_micros = 100_000
    run = await scheduler.create(plan)
    await scheduler.until(run, started("one@2"))
    shares = [each.budget_usd_micros for each in worker.called("StartSession")]
    assert len(shares) == 2
    assert sum(shares) <= 100_000
    assert min(shares) > 0
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    await scheduler.finished(run)
