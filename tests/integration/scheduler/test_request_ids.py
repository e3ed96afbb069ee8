"""A request_id stands for one request: repeated it has no effect, and with other content it is refused."""

from typing import Any

import pytest

from heddle import pb
from heddle.testing.fake_worker import FakeWorker
from heddle.v1 import scheduler_service_pb2
from tests.integration.scheduler.test_api import refused
from tests.integration.scheduler.test_operator import hold, started
from tests.support.scheduler import Scheduler, make_plan

EPIC = "RUN/epics/a"
TASK = f"{EPIC}/tasks/one"
ATTEMPT = f"{TASK}/attempts/1"

# A valid request for every method that takes a request_id.
REQUESTS: dict[str, Any] = {
    "CreateRun": pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project="/repository"),
    "ApplyPlan": pb.ApplyPlanRequest(name="RUN", plan=make_plan({"a": ["one"], "b": ["one"]})),
    "DraftPlan": pb.DraftPlanRequest(goal="Go", project="/repository", agent="command:draft"),
    "UpdateRun": pb.UpdateRunRequest(name="RUN", max_parallel=2),
    "RevokePermission": pb.RevokePermissionRequest(name="RUN", rule="Bash(make *)"),
    "PauseRun": pb.PauseRunRequest(name="RUN"),
    "ResumeRun": pb.ResumeRunRequest(name="RUN"),
    "CancelRun": pb.CancelRunRequest(name="RUN"),
    "PushRun": pb.PushRunRequest(name="RUN"),
    "SyncBase": pb.SyncBaseRequest(name=EPIC),
    "RetryMerge": pb.RetryMergeRequest(name=EPIC),
    "ResolveConflict": pb.ResolveConflictRequest(name=EPIC),
    "SubmitResolution": pb.SubmitResolutionRequest(name=EPIC),
    "DropEpic": pb.DropEpicRequest(name=EPIC),
    "AddTask": pb.AddTaskRequest(parent=EPIC, task=pb.PlanTask(key="new", prompt="Go")),
    "RetryTask": pb.RetryTaskRequest(name=TASK),
    "SkipTask": pb.SkipTaskRequest(name=TASK),
    "ChooseCandidate": pb.ChooseCandidateRequest(name=TASK, candidate=1),
    "StopAttempt": pb.StopAttemptRequest(name=ATTEMPT),
    "ResolveApproval": pb.ResolveApprovalRequest(attempt=ATTEMPT, approval_id="a1", approved=True),
    "RestoreEpicWorktree": pb.RestoreEpicWorktreeRequest(name=f"{EPIC}/worktree"),
    "RemoveEpicWorktree": pb.RemoveEpicWorktreeRequest(name=f"{EPIC}/worktree"),
    "CollectGarbage": pb.CollectGarbageRequest(),
    "CreateSchedule": pb.CreateScheduleRequest(
        cron="0 3 * * *", run=pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project="/repository")
    ),
    "UpdateSchedule": pb.UpdateScheduleRequest(name="schedules/s", paused=True),
    "DeleteSchedule": pb.DeleteScheduleRequest(name="schedules/s"),
    "DrainWorker": pb.DrainWorkerRequest(name="workers/local"),
    "UndrainWorker": pb.UndrainWorkerRequest(name="workers/local"),
    "LiftHold": pb.LiftHoldRequest(provider="anthropic"),
}


def test_every_method_with_a_request_id_is_here() -> None:
    """A new method that takes a request_id has a request above."""
    service = scheduler_service_pb2.DESCRIPTOR.services_by_name["SchedulerService"]
    taking = {each.name for each in service.methods if "request_id" in each.input_type.fields_by_name}
    assert taking == REQUESTS.keys()


def of(request: Any, run: str, request_id: str = "used") -> Any:
    """Returns a request about `run`."""
    made = type(request)()
    made.CopyFrom(request)
    for field, value in request.ListFields():
        if isinstance(value, str) and value.startswith("RUN"):
            setattr(made, field.name, value.replace("RUN", run, 1))
    made.request_id = request_id
    return made


# The leader keeps the ids of what only it can do apart; of two answers to a question, the first is final.
APART = {"RestoreEpicWorktree", "RemoveEpicWorktree", "CollectGarbage", "ResolveApproval"}


@pytest.mark.parametrize("method", sorted(REQUESTS.keys() - APART))
async def test_an_id_of_another_request_is_refused(
    worker: FakeWorker, scheduler: Scheduler, method: str
) -> None:
    """A request with the id of another one is refused with that one's resource, and changes nothing."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.until(run, started)
    if method == "PauseRun":
        await scheduler.api.UpdateRun(pb.UpdateRunRequest(name=run, max_parallel=3, request_id="used"))
    else:
        await scheduler.api.PauseRun(pb.PauseRunRequest(name=run, request_id="used"))
    before = await scheduler.run(run)
    error = await refused(getattr(scheduler.api, method)(of(REQUESTS[method], run)))
    assert error.reason == pb.ERROR_REASON_REQUEST_ID_REUSED, error.message
    assert error.metadata["resource"] == run
    assert await scheduler.run(run) == before


@pytest.mark.parametrize(
    "other",
    [pb.RestoreEpicWorktreeRequest(request_id="used", name="runs/r/epics/a/worktree")],
    ids=["method"],
)
async def test_an_id_of_another_request_to_the_leader_is_refused(
    worker: FakeWorker, scheduler: Scheduler, other: Any
) -> None:
    """A repeated request to the leader is answered and not executed again; another one is refused."""
    request = pb.CollectGarbageRequest(request_id="used")
    first = await scheduler.api.CollectGarbage(request)
    calls = len(worker.calls)
    assert await scheduler.api.CollectGarbage(request) == first
    method = type(other).__name__.removesuffix("Request")
    error = await refused(getattr(scheduler.api, method)(other))
    assert error.reason == pb.ERROR_REASON_REQUEST_ID_REUSED
    assert [name for name, _ in worker.calls[calls:]] == []


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("UpdateRun", pb.UpdateRunRequest(name="RUN", max_parallel=3)),
        ("PauseRun", pb.PauseRunRequest(name="RUN")),
        ("AddTask", pb.AddTaskRequest(parent=EPIC, task=pb.PlanTask(key="new", prompt="Go"))),
        ("SkipTask", pb.SkipTaskRequest(name=f"{EPIC}/tasks/two")),
        ("StopAttempt", pb.StopAttemptRequest(name=ATTEMPT)),
        ("CancelRun", pb.CancelRunRequest(name="RUN")),
    ],
)
async def test_a_repeated_request_changes_nothing(
    worker: FakeWorker, scheduler: Scheduler, method: str, request_: Any
) -> None:
    """The same request with the same id answers the same and adds no event."""
    worker.play = hold
    run = await scheduler.create(make_plan({"a": ["one", "two"]}))
    await scheduler.until(run, started)
    # Nothing else starts in the meantime.
    await scheduler.api.PauseRun(pb.PauseRunRequest(name=run))
    call, request = getattr(scheduler.api, method), of(request_, run, "again")
    first = await call(request)
    before = await scheduler.run(run)
    assert await call(request) == first
    assert await scheduler.run(run) == before
