"""The project file in a run: checks, setup once per worktree, teardown, and the effect of a failed setup."""

from typing import Any

from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.errors import HeddleError
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_skip import retry, skip
from tests.support.scheduler import Scheduler, make_plan

FILE = pb.ProjectFile(
    setup=["npm ci"],
    ports=2,
    env={"MODE": "test"},
    checks=[pb.Check(name="test", run="make test")],
    teardown=["make down"],
)


def checks(task: pb.Task) -> list[str]:
    return [check.run for check in task.checks]


async def test_checks_come_from_task_then_plan_then_project(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A task's checks override the plan's default checks, which override the project's."""
    worker.project_file = FILE
    plan = make_plan({"a": ["one", "two"]})
    plan.epics[0].tasks[0].checks.add(name="own", run="make own")
    run = await scheduler.create(plan)
    assert {key: checks(task) for key, task in (await scheduler.tasks(run)).items()} == {
        "a/one": ["make own"],
        "a/two": ["make test"],
    }
    plan.defaults.checks.add(name="plan", run="make plan")
    run = await scheduler.create(plan)
    assert checks((await scheduler.tasks(run))["a/two"]) == ["make plan"]


async def test_setup_runs_before_the_first_session_of_a_worktree(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """Only the first session of each epic gets the setup; all sessions get the epic's environment."""
    worker.project_file = FILE
    run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["one"]}))
    events = await scheduler.finished(run)
    started = worker.called("StartSession")
    assert {request.attempt.split("/")[3] for request in started if request.HasField("setup")} == {"a", "b"}
    first, second = (request for request in started if "/epics/a/" in request.attempt)
    assert first.setup.commands == ["npm ci"]
    assert first.setup.timeout == Duration(seconds=900)
    assert not second.HasField("setup")
    assert second.project_environment["MODE"] == "test"
    assert (second.environment["HEDDLE_TASK"], second.environment["HEDDLE_ATTEMPT"]) == ("two", "1")
    assert {request.project_environment["HEDDLE_SLOT"] for request in started} == {"1", "2"}
    assert sum(event.HasField("setup_finished") for event in events) == 2
    created = [event.worktree_created for event in events if event.HasField("worktree_created")]
    assert sorted(each.slot for each in created) == [1, 2]
    assert all(len(each.ports) == 2 for each in created)


async def test_a_worktree_made_anew_is_set_up_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """If the worktree was recreated since setup ran, the next session runs setup again."""

    async def lose(session: FakeSession) -> pb.SessionFinished:
        if session.name.number == 1:
            worker.worktrees.clear()
            return pb.SessionFinished(outcome=pb.OUTCOME_LOST)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.project_file, worker.play = FILE, lose
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    first, second = worker.called("StartSession")
    assert first.setup.incarnation != second.setup.incarnation
    assert second.setup.commands == ["npm ci"]


async def test_a_failed_setup_fails_its_epic_alone(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The epic fails with setup's output and no further attempt; other epics continue; a retry succeeds."""
    worker.project_file = FILE
    worker.failing_setups = {"a"}
    plan = make_plan({"a": ["one", "two"], "b": ["one"]})
    plan.defaults.retries = 3
    run = await scheduler.create(plan)
    events = await scheduler.finished(run)
    epics = await scheduler.epics(run)
    assert epics["a"].state == pb.EPIC_STATE_FAILED
    assert epics["a"].reason == "the project's setup failed: no rule"
    assert epics["b"].state == pb.EPIC_STATE_SUCCEEDED
    tasks = await scheduler.tasks(run)
    assert (tasks["a/one"].attempt_count, tasks["a/one"].state) == (1, pb.TASK_STATE_FAILED)
    assert tasks["a/two"].state == pb.TASK_STATE_SKIPPED
    (told,) = [
        event.setup_finished for event in events if event.epic == "a" and event.HasField("setup_finished")
    ]
    assert (told.ok, told.command, told.exit_code, told.output) == (False, "make", 2, "no rule")

    worker.failing_setups.clear()
    await scheduler.api.RetryTask(retry(f"{run}/epics/a/tasks/one"))
    again = await scheduler.finished(run, after=events[-1].sequence)
    assert again[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    mended = next(
        each for each in worker.called("StartSession") if each.attempt.endswith("a/tasks/one/attempts/2")
    )
    assert mended.setup.commands == ["npm ci"]
    assert mended.prompt == "Do one"


async def test_skipping_the_task_whose_setup_failed_tries_setup_again(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """If the task is skipped, the next task's session runs setup."""
    worker.project_file = FILE
    worker.failing_setups = {"a"}
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    events = await scheduler.finished(run)
    worker.failing_setups.clear()
    await scheduler.api.SkipTask(skip(f"{run}/epics/a/tasks/one"))
    again = await scheduler.finished(run, after=events[-1].sequence)
    assert again[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    assert (await scheduler.tasks(run))["a/two"].state == pb.TASK_STATE_ACCEPTED


async def test_teardown_runs_before_removal_and_holds_nothing_up(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A failed teardown is reported as an event; a teardown that the worker refuses to run is ignored."""
    worker.project_file = FILE
    worker.teardown_end = pb.CheckFinished(command="make down", exit_code=1, output="no such service")
    run = await scheduler.create(make_plan({"a": ["one"]}))
    events = await scheduler.finished(run)
    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds[-3:] == ["teardown_finished", "worktree_removed", "run_finished"]
    told = events[-3].teardown_finished
    assert (told.ok, told.command, told.exit_code) == (False, "make down", 1)
    # The merge's worktree, whose resource is the run, had its own teardown.
    (asked,) = [each for each in worker.called("RunChecks") if each.resource == f"{run}/epics/a"]
    assert asked.environment["HEDDLE_SLOT"] == "1"

    def refuse(method: str, request: Any) -> None:
        if method == "RunChecks" and request.resource.endswith("/epics/a"):
            raise HeddleError(pb.ERROR_REASON_INVALID_FIELD, "no folder")

    worker.before = refuse
    run = await scheduler.create(make_plan({"a": ["one"]}))
    kinds = [event.WhichOneof("payload") for event in await scheduler.finished(run)]
    assert kinds[-2:] == ["worktree_removed", "run_finished"]


async def test_a_worktree_that_nobody_noted_is_removed_too(worker: FakeWorker, scheduler: Scheduler) -> None:
    """If the worker failed after it created the worktree, the end of the run releases its slot and ports."""

    def fail_later(method: str, _request: object) -> None:
        if method == "EnsureWorktree":
            raise HeddleError(pb.ERROR_REASON_GIT_FAILED, "half made")

    worker.before = fail_later
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    assert [request.epic for request in worker.called("RemoveWorktree")] == [f"{run}/epics/a"]


async def test_unfilled_submodules_are_an_event(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An attempt whose worktree lacks submodules says so once: in the log of the run and in the attempt."""
    lacks = pb.UnfilledSubmodule(path="lib", reason="its remote is gone")
    worker.submodules_not_filled = pb.SubmodulesNotFilled(submodules=[lacks], count=1)
    run = await scheduler.create(make_plan({"a": ["one"]}))
    events = await scheduler.finished(run)
    (event,) = (each for each in events if each.HasField("submodules_not_filled"))
    assert (event.epic, event.task, event.attempt) == ("a", "one", 1)
    assert event.actor.startswith("worker:")
    assert event.submodules_not_filled.submodules == [lacks]
    name = f"{run}/epics/a/tasks/one/attempts/1"
    attempt = (await scheduler.api.GetAttempt(pb.GetAttemptRequest(name=name))).attempt
    assert attempt.submodules_not_filled.submodules == [lacks]
