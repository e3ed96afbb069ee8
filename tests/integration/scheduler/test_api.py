"""CreateRun, lists and refused requests."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from heddle import pb
from heddle.errors import HeddleError, Violation, from_rpc
from heddle.plan import rules
from heddle.testing.fake_worker import FakeWorker
from heddle.v1 import scheduler_service_pb2
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer
from scheduler_svc.api.servicer import SchedulerServicer
from tests.support.scheduler import Scheduler, make_plan


async def refused(call: Any) -> HeddleError:
    """Awaits a call that must fail; returns its error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc(caught.value)
    assert error is not None, caught.value
    return error


def test_every_rpc_is_served() -> None:
    """The servicer overrides each method of the service: none is left UNIMPLEMENTED."""
    service = scheduler_service_pb2.DESCRIPTOR.services_by_name["SchedulerService"]
    for method in service.methods:
        served = getattr(SchedulerServicer, method.name)
        assert served is not getattr(SchedulerServiceServicer, method.name), method.name
        streams = inspect.isasyncgenfunction(served)
        assert streams == method.server_streaming, method.name


async def test_run_is_created_with_its_defaults_resolved(scheduler: Scheduler) -> None:
    """A new run has an id derived from its plan's name, and tasks with the values of the defaults."""
    plan = make_plan({"a": ["one", "two"]}, agent="command:true", retries=2, timeout={"seconds": 60})
    plan.name = "Größe & Ordnung, die zweite: mit einem sehr langen Namen"
    plan.epics[0].tasks[1].agent = "scripted"
    plan.epics[0].tasks[1].retries = 0
    run = await scheduler.create(plan, agent="command:false")

    assert run.startswith("runs/groe-ordnung-die-zweite-mit-einem-sehr-")
    assert len(run.removeprefix("runs/")) <= 46
    tasks = await scheduler.tasks(run)
    one, two = tasks["a/one"], tasks["a/two"]
    assert (one.agent, one.retries, one.timeout.seconds, one.priority) == ("command:false", 2, 60, 999)
    assert (two.agent, two.retries) == ("scripted", 0)
    assert (await scheduler.run(run)).max_parallel == 8


async def test_other_calls_continue_while_a_plan_is_checked(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking a large plan takes a second, and no other caller waits for it."""
    checking, answered = threading.Event(), threading.Event()
    check = rules.violations

    def check_for_long(plan: pb.Plan) -> list[Violation]:
        checking.set()
        assert answered.wait(60)
        return check(plan)

    monkeypatch.setattr(rules, "violations", check_for_long)
    creating = asyncio.create_task(scheduler.create(make_plan({"a": ["one"]})))
    assert await asyncio.to_thread(checking.wait, 60)
    await scheduler.api.ListRuns(pb.ListRunsRequest())
    answered.set()
    assert (await creating).startswith("runs/")


async def test_same_request_id_returns_the_same_run(scheduler: Scheduler) -> None:
    """A repeated request creates nothing, even concurrently; another request with the same id is refused."""
    request = pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project="/repository", request_id="r1")

    answers = await asyncio.gather(*(scheduler.api.CreateRun(request) for _ in range(5)))

    assert len({answer.run.name for answer in answers}) == 1
    assert len((await scheduler.api.ListRuns(pb.ListRunsRequest())).runs) == 1
    request.max_parallel = 3
    error = await refused(scheduler.api.CreateRun(request))
    assert error.reason == pb.ERROR_REASON_REQUEST_ID_REUSED


async def test_bad_plan_creates_nothing(scheduler: Scheduler) -> None:
    """All errors of a plan are reported at once, with field paths."""
    plan = make_plan({"a": ["one", "one"], "b": []})
    plan.epics[1].depends_on.append("c")

    error = await refused(scheduler.api.CreateRun(pb.CreateRunRequest(plan=plan, project="/repository")))

    assert error.reason == pb.ERROR_REASON_INVALID_PLAN
    assert len(error.violations) >= 3
    assert not (await scheduler.api.ListRuns(pb.ListRunsRequest())).runs


async def test_unfit_projects_and_agents_are_refused(worker: FakeWorker, scheduler: Scheduler) -> None:
    """For a dirty checkout, a missing project or an unknown agent, the error says what to do."""
    plan = make_plan({"a": ["one"]})
    create = scheduler.api.CreateRun
    worker.dirty_files = ["api.py"]
    dirty = await refused(create(pb.CreateRunRequest(plan=plan, project="/repository")))
    assert dirty.reason == pb.ERROR_REASON_DIRTY_CHECKOUT
    assert "api.py" in dirty.message
    assert "--allow-dirty" in dirty.message
    allowed = pb.CreateRunRequest(plan=plan, project="/repository", allow_dirty=True)
    assert (await create(allowed)).run.name
    worker.dirty_files = []
    unknown = await refused(create(pb.CreateRunRequest(plan=plan, project="/repository", agent="magic")))
    assert unknown.reason == pb.ERROR_REASON_UNKNOWN_AGENT
    assert "scripted" in unknown.message
    assert (await refused(create(pb.CreateRunRequest(plan=plan)))).reason == pb.ERROR_REASON_INVALID_FIELD
    negative = pb.CreateRunRequest(plan=plan, project="/repository", max_parallel=-1)
    assert (await refused(create(negative))).reason == pb.ERROR_REASON_INVALID_FIELD


async def test_validate_only_creates_nothing(scheduler: Scheduler) -> None:
    """A validated run has all fields except a name, and is not created."""
    request = pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project="/repository", validate_only=True)
    run = (await scheduler.api.CreateRun(request)).run

    assert not run.name
    assert run.base_commit
    assert run.tasks.total == 1
    assert not (await scheduler.api.ListRuns(pb.ListRunsRequest())).runs


async def test_lists_are_paged(scheduler: Scheduler) -> None:
    """Successive small pages contain the same items as one large page, in the same order."""
    plan = make_plan({"b": ["three", "one", "two"], "a": ["two", "one"]})
    runs = [await scheduler.create(plan) for _ in range(3)]
    for run in runs:
        await scheduler.finished(run)
    api = scheduler.api

    async def pages(method: Any, request: Any, field: str) -> list[Any]:
        found: list[Any] = []
        request.page_size = 2
        while True:
            answer = await method(request)
            assert len(getattr(answer, field)) <= 2
            found += getattr(answer, field)
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    names = [run.name for run in await pages(api.ListRuns, pb.ListRunsRequest(), "runs")]
    assert names == runs[::-1]
    epics = await pages(api.ListEpics, pb.ListEpicsRequest(parent=runs[0]), "epics")
    assert [epic.key for epic in epics] == ["b", "a"]
    tasks = await pages(api.ListTasks, pb.ListTasksRequest(parent=f"{runs[0]}/epics/-"), "tasks")
    keys = [task.name.split("/", 3)[3] for task in tasks]
    assert keys == ["b/tasks/three", "b/tasks/one", "b/tasks/two", "a/tasks/two", "a/tasks/one"]
    assert [task.position for task in tasks] == [1, 2, 3, 1, 2]
    attempts = pb.ListAttemptsRequest(parent=f"{runs[0]}/epics/-/tasks/-")
    assert len(await pages(api.ListAttempts, attempts, "attempts")) == 5
    workers = await pages(api.ListWorkers, pb.ListWorkersRequest(), "workers")
    assert [worker.name for worker in workers] == ["workers/local"]


async def test_what_does_not_exist_is_not_found(scheduler: Scheduler) -> None:
    """A missing resource is NOT_FOUND, and a malformed name or page is INVALID_FIELD."""
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    api = scheduler.api
    attempt = f"{run}/epics/a/tasks/one/attempts/9"
    call: Awaitable[Any]
    for call in (
        api.GetRun(pb.GetRunRequest(name="runs/none")),
        api.PauseRun(pb.PauseRunRequest(name="runs/none")),
        api.CancelRun(pb.CancelRunRequest(name="runs/none")),
        api.ListEpics(pb.ListEpicsRequest(parent="runs/none")),
        api.ListTasks(pb.ListTasksRequest(parent=f"{run}/epics/none")),
        api.ListAttempts(pb.ListAttemptsRequest(parent=f"{run}/epics/a/tasks/none")),
        api.RetryTask(pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/none")),
        api.GetAttempt(pb.GetAttemptRequest(name=attempt)),
        api.StopAttempt(pb.StopAttemptRequest(name=attempt)),
        api.ResolveApproval(pb.ResolveApprovalRequest(attempt=attempt)),
        api.ListEvents(pb.ListEventsRequest(parent="runs/none")),
        api.ListSessionEvents(pb.ListSessionEventsRequest(parent=attempt)),
    ):
        assert (await refused(call)).reason == pb.ERROR_REASON_NOT_FOUND
    for call in (
        api.GetRun(pb.GetRunRequest(name="rubbish")),
        api.ListRuns(pb.ListRunsRequest(page_token="rubbish")),
        api.ListRuns(pb.ListRunsRequest(page_size=-1)),
    ):
        assert (await refused(call)).reason == pb.ERROR_REASON_INVALID_FIELD


async def test_diffs_and_artifacts_come_from_the_worker(scheduler: Scheduler) -> None:
    """A diff is requested from the worker by the commits of its resource, an artifact by its hash."""
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    await scheduler.finished(run)
    task = (await scheduler.tasks(run))["a/two"]
    epic = (await scheduler.epics(run))["a"]
    base = (await scheduler.run(run)).base_commit

    async def diff(name: str) -> str:
        answers = scheduler.api.GetDiff(pb.GetDiffRequest(name=name))
        return "".join([answer.text async for answer in answers])

    assert await diff(task.latest_attempt.name) == f"diff {task.commit}^..{task.commit}\n"
    assert await diff(epic.name) == f"diff {base}...{task.commit}\n"
    assert await diff(run) == f"diff {base}..{epic.merge_commit}\n"
    request = pb.ReadArtifactRequest(attempt=task.latest_attempt.name, artifact="sha256:00")
    data = b"".join([answer.data async for answer in scheduler.api.ReadArtifact(request)])
    assert data == b"bytes of sha256:00"
