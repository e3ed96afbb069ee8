"""The calls of the client about plans."""

from typing import TYPE_CHECKING

from heddle import pb, urls
from heddle.client.rpc_caller import CALL_TIMEOUT, CLONE_TIMEOUT, Caller

if TYPE_CHECKING:
    # Exists only in the stub file.
    from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceAsyncStub


class PlanCalls:
    """Part of HeddleClient."""

    _caller: Caller
    _stub: "SchedulerServiceAsyncStub"

    async def get_plan(self, name: str, *, revision: int = 0) -> pb.GetPlanResponse:
        """Returns a plan of a run: the current one, or a revision, of which 1 is the first."""
        request = pb.GetPlanRequest(name=name, revision=revision)
        return await self._caller.call(self._stub.GetPlan, request)

    async def draft_plan(self, request: pb.DraftPlanRequest) -> pb.Run:
        """Lets an agent draft a plan, or returns the draft that the same `request_id` created before."""
        timeout = CLONE_TIMEOUT if urls.is_url(request.project) else CALL_TIMEOUT
        return (await self._caller.mutate(self._stub.DraftPlan, request, timeout=timeout)).run

    async def get_draft(self, name: str) -> pb.Draft:
        """Returns the newest valid plan of a draft, or else what its agent handed over last."""
        return (await self._caller.call(self._stub.GetDraft, pb.GetDraftRequest(name=name))).draft

    async def apply_plan(self, request: pb.ApplyPlanRequest) -> pb.ApplyPlanResponse:
        """Replaces the plan of a run; with `validate_only`, only returns what would change."""
        return await self._caller.mutate(self._stub.ApplyPlan, request)

    async def create_schedule(self, request: pb.CreateScheduleRequest) -> pb.Schedule:
        """Creates a schedule, or returns the one that the same `request_id` created before."""
        timeout = CLONE_TIMEOUT if urls.is_url(request.run.project) else CALL_TIMEOUT
        return (await self._caller.mutate(self._stub.CreateSchedule, request, timeout=timeout)).schedule

    async def list_schedules(self) -> list[pb.Schedule]:
        """Returns all schedules by name."""
        request = pb.ListSchedulesRequest()
        return list((await self._caller.call(self._stub.ListSchedules, request)).schedules)

    async def update_schedule(self, name: str, *, paused: bool) -> pb.Schedule:
        """Pauses or resumes a schedule."""
        request = pb.UpdateScheduleRequest(name=name, paused=paused)
        return (await self._caller.mutate(self._stub.UpdateSchedule, request)).schedule

    async def delete_schedule(self, name: str) -> None:
        """Deletes a schedule; its runs stay."""
        await self._caller.mutate(self._stub.DeleteSchedule, pb.DeleteScheduleRequest(name=name))

    async def add_task(self, parent: str, task: pb.PlanTask, *, request_id: str = "") -> pb.Task:
        """Adds a task to an epic, which continues if it had ended; repeating a request_id adds nothing."""
        request = pb.AddTaskRequest(parent=parent, task=task, request_id=request_id)
        return (await self._caller.mutate(self._stub.AddTask, request)).task
