"""The methods of SchedulerService about plans, permissions, candidates, drafts and schedules."""

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from heddle import pb
from heddle.identity.principals import caller, current_call
from heddle.names import RunName, TaskName
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer
from scheduler_svc.api.store_calls import StoreCalls
from scheduler_svc.commands.plans.apply_plan import apply_plan
from scheduler_svc.commands.plans.draft_plan import draft_plan
from scheduler_svc.commands.runs.add_task import add_task
from scheduler_svc.commands.runs.candidates import choose_candidate
from scheduler_svc.commands.runs.create_run import StartRun
from scheduler_svc.commands.runs.revoke_permission import revoke_permission
from scheduler_svc.commands.runs.schedules import create_schedule, schedule_id, update_schedule
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.queries.resources import get_run, get_task
from scheduler_svc.store.rows import drafts, plans, schedules

Context = grpc.aio.ServicerContext[Any, Any]


class PlanMethods(SchedulerServiceServicer):
    """Part of SchedulerServicer, which sets the attributes."""

    _database: Database
    _store: StoreCalls
    _workers: Workers
    _new_suffix: Callable[[], str]
    _start_run: StartRun
    _project_budget: int | None
    # Returns the time in microseconds.
    _now: Callable[[], int]

    async def ChooseCandidate(
        self, request: pb.ChooseCandidateRequest, context: Context
    ) -> pb.ChooseCandidateResponse:
        name, change = TaskName.parse(request.name), self._store.change
        task = await change(
            request, name, get_task, choose_candidate, caller().name, request.candidate, self._now()
        )
        return pb.ChooseCandidateResponse(task=task)

    async def GetPlan(self, request: pb.GetPlanRequest, context: Context) -> pb.GetPlanResponse:
        return await self._store.read(plans.read, RunName.parse(request.name), request.revision)

    async def DraftPlan(self, request: pb.DraftPlanRequest, context: Context) -> pb.DraftPlanResponse:
        run = await draft_plan(
            self._database,
            self._workers,
            request,
            self._new_suffix(),
            call=current_call(),
            now=self._now(),
            project_budget=self._project_budget,
        )
        return pb.DraftPlanResponse(run=run)

    async def GetDraft(self, request: pb.GetDraftRequest, context: Context) -> pb.GetDraftResponse:
        name = RunName.parse(request.name)
        return pb.GetDraftResponse(draft=await self._store.read(drafts.read, name))

    async def ApplyPlan(self, request: pb.ApplyPlanRequest, context: Context) -> pb.ApplyPlanResponse:
        database, workers, budget = self._database, self._workers, self._project_budget
        return await apply_plan(
            database, workers, request, current_call(), self._now(), project_budget=budget
        )

    async def RevokePermission(
        self, request: pb.RevokePermissionRequest, context: Context
    ) -> pb.RevokePermissionResponse:
        name, change = RunName.parse(request.name), self._store.change
        run = await change(
            request, name, get_run, revoke_permission, caller().name, request.rule, self._now()
        )
        return pb.RevokePermissionResponse(run=run)

    async def AddTask(self, request: pb.AddTaskRequest, context: Context) -> pb.AddTaskResponse:
        task = await add_task(
            self._database,
            self._workers,
            request,
            current_call(),
            self._now(),
            project_budget=self._project_budget,
        )
        return pb.AddTaskResponse(task=task)

    async def CreateSchedule(
        self, request: pb.CreateScheduleRequest, context: Context
    ) -> pb.CreateScheduleResponse:
        made = await create_schedule(
            self._database,
            self._start_run,
            request,
            self._new_suffix(),
            call=current_call(),
            now=self._now(),
        )
        return pb.CreateScheduleResponse(schedule=made)

    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, context: Context
    ) -> pb.ListSchedulesResponse:
        return pb.ListSchedulesResponse(schedules=await self._store.read(schedules.listed))

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, context: Context
    ) -> pb.UpdateScheduleResponse:
        schedule = schedule_id(request.name)
        work = partial(update_schedule, schedule=schedule, paused=request.paused, now=self._now())
        read = partial(schedules.read, schedule=schedule)
        return pb.UpdateScheduleResponse(schedule=await self._store.once(request, request.name, work, read))

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, context: Context
    ) -> pb.DeleteScheduleResponse:
        work = partial(schedules.delete, schedule=schedule_id(request.name))
        await self._store.once(request, request.name, work, lambda _connection: None)
        return pb.DeleteScheduleResponse()
