"""Changes of a run's plan while it runs and after its end."""

from functools import partial
from typing import Any

import grpc
import pytest

from heddle import errors, pb
from heddle.names import AttemptName
from heddle.testing.fake_session import succeed
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.store.queries.resources import get_spec
from scheduler_svc.store.rows import allowed_rules
from tests.integration.scheduler.test_operator import hold, reason_of, started
from tests.integration.scheduler.test_skip import fail_first
from tests.support.scheduler import Scheduler, make_plan


def applied(run: str, plan: pb.Plan, **fields: Any) -> pb.ApplyPlanRequest:
    return pb.ApplyPlanRequest(name=run, plan=plan, **fields)


def kinds(events: list[pb.Event]) -> list[str]:
    return [str(event.WhichOneof("payload")) for event in events]


async def error_of(call: Any) -> errors.HeddleError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = errors.from_rpc(caught.value)
    assert error
    return error


async def test_a_running_plan_changes(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Pending parts change at once; each change has an event, and the new plan can be read back with its text."""
    worker.play = hold
    run = await scheduler.create(
        make_plan({"a": ["one", "two", "three"], "b": ["one"], "c": ["one"]}),
        max_parallel=1,
        plan_text="# first",
    )
    await scheduler.until(run, started)
    before = await scheduler.run(run)
    plan = make_plan({"a": ["one", "three", "four"], "d": ["one"], "c": ["one"]}, retries=2)
    plan.epics[0].tasks[1].prompt = "Do it well"
    plan.epics[2].depends_on.append("d")

    looked = await scheduler.api.ApplyPlan(applied(run, plan, validate_only=True))
    assert (await scheduler.run(run)).sequence == before.sequence
    request = applied(run, plan, plan_text="# second", revision=looked.revision, request_id="r1")
    answer = await scheduler.api.ApplyPlan(request)
    assert answer.revision == looked.revision + 1 == 2
    assert await scheduler.api.ApplyPlan(request) == answer
    assert (await scheduler.api.ApplyPlan(applied(run, plan))).revision == 2

    tasks = await scheduler.tasks(run)
    assert {key: task.position for key, task in tasks.items()} == {
        "a/one": 1, "a/three": 2, "a/four": 3, "d/one": 1, "c/one": 1,
    }  # fmt: skip
    assert tasks["a/three"].prompt == "Do it well"
    assert (tasks["a/one"].retries, tasks["a/three"].retries, tasks["c/one"].retries) == (0, 2, 2)
    epics = await scheduler.epics(run)
    assert [(epic.key, epic.index) for epic in epics.values()] == [("a", 0), ("d", 1), ("c", 2)]
    assert epics["c"].state == pb.EPIC_STATE_BLOCKED
    first = await scheduler.api.GetPlan(pb.GetPlanRequest(name=run, revision=1))
    second = await scheduler.api.GetPlan(pb.GetPlanRequest(name=run))
    assert (first.text, second.text, second.actor, second.plan) == ("# first", "# second", "user:ada", plan)
    missing = pb.GetPlanRequest(name=run, revision=9)
    assert await reason_of(scheduler.api.GetPlan(missing)) == pb.ERROR_REASON_NOT_FOUND

    page = await scheduler.api.ListEvents(pb.ListEventsRequest(parent=run, after_sequence=before.sequence))
    told = [(event.WhichOneof("payload"), event.epic, event.task) for event in page.events]
    assert told[0] == ("plan_applied", "", "")
    assert page.events[0].plan_applied == pb.PlanApplied(revision=2, fields=["defaults.retries"])
    assert {each for each in told if "ready" not in str(each[0])} == {
        ("plan_applied", "", ""), ("task_changed", "a", "three"), ("task_added", "a", "four"),
        ("task_removed", "a", "two"), ("epic_added", "d", ""), ("task_added", "d", "one"),
        ("epic_changed", "c", ""), ("task_changed", "c", "one"), ("task_removed", "b", "one"),
        ("epic_removed", "b", ""),
    }  # fmt: skip
    assert {event.actor for event in page.events} == {"user:ada"}


async def test_a_change_of_what_has_started_is_refused_as_a_whole(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The error names each refused change; nothing changes, not even what could."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    await scheduler.until(run, started)
    plan = make_plan({"a": ["two"], "b": ["one"]})
    error = await error_of(scheduler.api.ApplyPlan(applied(run, plan)))
    assert error.reason == pb.ERROR_REASON_PLAN_CHANGE_REFUSED
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.message.endswith("\n  task a/one: it is running")
    looked = await scheduler.api.ApplyPlan(applied(run, plan, validate_only=True))
    assert [each.refusal for each in looked.difference.changes] == ["it is running", ""]
    assert set(await scheduler.tasks(run)) == {"a/one", "a/two"}


async def test_a_change_to_an_old_revision_is_aborted(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The error says who changed what since; an added task is a change of the plan as well."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one"]}))
    task = pb.PlanTask(key="two", prompt="Do two")
    await scheduler.api.AddTask(pb.AddTaskRequest(parent=f"{run}/epics/a", task=task))
    current = await scheduler.api.GetPlan(pb.GetPlanRequest(name=run))
    assert [each.key for each in current.plan.epics[0].tasks] == ["one", "two"]
    assert current.revision == 2
    error = await error_of(scheduler.api.ApplyPlan(applied(run, make_plan({"a": ["one"]}), revision=1)))
    assert (error.reason, error.code) == (pb.ERROR_REASON_PLAN_CHANGED, grpc.StatusCode.ABORTED)
    assert "user:ada changed it (task a/two added)" in error.message
    assert not (await scheduler.api.ApplyPlan(applied(run, current.plan, revision=2))).difference.changes


async def test_a_plan_that_could_not_run_is_refused(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Errors of the plan, agents that the worker lacks, and a missing run are named."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one"]}))
    agentless = make_plan({"a": ["one"], "b": ["one"]})
    agentless.epics[1].tasks[0].agent = "claude"
    for request, reason in (
        (applied(run, pb.Plan(name="Empty")), pb.ERROR_REASON_INVALID_PLAN),
        (applied(run, agentless), pb.ERROR_REASON_UNKNOWN_AGENT),
        (applied("runs/other", make_plan({"a": ["one"]})), pb.ERROR_REASON_NOT_FOUND),
    ):
        assert await reason_of(scheduler.api.ApplyPlan(request)) == reason


async def test_added_parts_make_an_ended_run_active_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A task added to a merged epic and a new epic run; an epic that failed and stops takes no task."""
    worker.play = fail_first
    run = await scheduler.create(
        make_plan({"a": ["one"], "b": ["first"]}, on_failure=pb.ON_FAILURE_STOP_EPIC)
    )
    ended = await scheduler.finished(run)
    plan = make_plan({"a": ["one", "more"], "b": ["first"]}, on_failure=pb.ON_FAILURE_STOP_EPIC)
    error = await error_of(scheduler.api.ApplyPlan(applied(run, plan)))
    assert "which stops its epic" in error.message
    plan = make_plan({"a": ["one"], "b": ["first", "more"], "c": ["new"]}, on_failure=pb.ON_FAILURE_STOP_EPIC)
    await scheduler.api.ApplyPlan(applied(run, plan))
    events = await scheduler.finished(run, after=ended[-1].sequence)
    assert kinds(events).count("merge_finished") == 2
    states = {key: task.state for key, task in (await scheduler.tasks(run)).items()}
    assert states["b/more"] == states["c/new"] == pb.TASK_STATE_ACCEPTED


async def test_permissions_granted_for_the_run_stay(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A rule that the operator allowed for the whole run applies to changed and added tasks as well."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    await scheduler.until(run, started)
    name = AttemptName.parse(f"{run}/epics/a/tasks/one/attempts/1")
    rule = pb.ApprovalResolved(approved=True, scope=pb.APPROVAL_SCOPE_RUN, rule="Bash(make *)")
    # An answer that comes twice counts once.
    for _ in range(2):
        await scheduler.app.database.submit(
            lambda connection: allowed_rules.take(connection, name, rule, "user:ada", 1_000_000)
        )
    same = make_plan({"a": ["one", "two"]})
    assert not (await scheduler.api.ApplyPlan(applied(run, same))).difference.changes
    await scheduler.api.ApplyPlan(applied(run, make_plan({"a": ["one", "three"]})))
    found = await scheduler.app.database.read(partial(get_spec, name=name.parent.parent.task("three")))
    assert found.permissions.allow == ["Bash(make *)"]
    assert [each.rule for each in (await scheduler.run(run)).granted_permissions] == ["Bash(make *)"]

    plan = make_plan({"a": ["one", "three", "four"]})
    plan.defaults.permissions.allow.append("Bash(make *)")
    await scheduler.api.ApplyPlan(applied(run, plan))
    assert not (await scheduler.run(run)).granted_permissions, "now the plan allows it"
    revoke = pb.RevokePermissionRequest(name=run, rule="Bash(make *)")
    error = await error_of(scheduler.api.RevokePermission(revoke))
    assert "change the plan with heddle apply" in error.message


async def test_a_run_can_run_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Another run has the same plan, project and options; failed_only has what failed, on the run's branch."""
    worker.play = fail_first
    plan = make_plan({"a": ["zero", "one"], "b": ["one", "two"], "c": ["new"]}, agent="command:x")
    plan.epics[1].on_failure = pb.ON_FAILURE_STOP_EPIC
    plan.epics[0].depends_on.append("c")
    run = await scheduler.create(plan, plan_text="# mine", agent="scripted", base_ref="main", max_parallel=1)
    await scheduler.finished(run)

    again = await scheduler.api.CreateRun(pb.CreateRunRequest(again=run, max_parallel=2))
    assert (again.run.project, again.run.base_ref, again.run.max_parallel) == ("/repository", "main", 2)
    given = await scheduler.api.GetPlan(pb.GetPlanRequest(name=again.run.name))
    assert (given.plan, given.text) == (plan, "# mine")
    assert {task.agent for task in (await scheduler.tasks(again.run.name)).values()} == {"scripted"}

    request = pb.CreateRunRequest(again=run, failed_only=True, request_id="f1")
    failed = (await scheduler.api.CreateRun(request)).run
    assert set(await scheduler.tasks(failed.name)) == {"a/one", "b/one", "b/two"}
    assert failed.base_ref == f"heddle/{run.removeprefix('runs/')}/merged"
    assert not (await scheduler.epics(failed.name))["a"].depends_on
    assert (await scheduler.api.CreateRun(request)).run.name == failed.name

    worker.play = succeed
    whole = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(whole)
    for asked, reason in (
        (pb.CreateRunRequest(again=whole, failed_only=True), pb.ERROR_REASON_WRONG_STATE),
        (pb.CreateRunRequest(again="runs/none"), pb.ERROR_REASON_NOT_FOUND),
        (pb.CreateRunRequest(again=whole, project="/other"), pb.ERROR_REASON_INVALID_FIELD),
        (pb.CreateRunRequest(again=whole, plan=plan), pb.ERROR_REASON_INVALID_FIELD),
        (pb.CreateRunRequest(failed_only=True), pb.ERROR_REASON_INVALID_FIELD),
    ):
        assert await reason_of(scheduler.api.CreateRun(asked)) == reason
