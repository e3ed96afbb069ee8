"""A scheduler that plays a fixed run, breaks its streams on request, and records the requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from heddle import errors, pb
from heddle.rpc.serving import Service
from heddle.v1 import identity_service_pb2_grpc, scheduler_service_pb2_grpc
from tests.support.callers import ADA

RUN = "runs/sample-1"
ATTEMPT = f"{RUN}/epics/api/tasks/model/attempts/1"


class Ada(identity_service_pb2_grpc.IdentityServiceServicer):
    """Answers that every caller is the same person."""

    async def GetCaller(self, request: pb.GetCallerRequest, context: Any) -> pb.GetCallerResponse:
        return pb.GetCallerResponse(user="user:ada", role=pb.ROLE_ADMIN)


@dataclass
class FakeScheduler(scheduler_service_pb2_grpc.SchedulerServiceServicer):
    """Its run and its one session have `length` events each."""

    length: int = 20
    # A stream ends after so many events. None: after the last one.
    cut: int | None = None
    run_state: "pb.RunState.ValueType" = pb.RUN_STATE_SUCCEEDED
    title: str = "Sample"
    # Awaited before each answer of a stream, with the number of the stream and its next sequence.
    before_answer: Callable[[int, int], Awaitable[None]] | None = None
    # Raised once each by the unary calls, in this order.
    refusals: list[Exception] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    streams: int = 0

    async def CreateRun(self, request: pb.CreateRunRequest, context: Any) -> pb.CreateRunResponse:
        self._note(request)
        return pb.CreateRunResponse(run=self.run())

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:
        self._note(request)
        if request.name != RUN:
            raise errors.not_found(request.name)
        return pb.GetRunResponse(run=self.run())

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        self._note(request)
        return pb.ListRunsResponse(runs=[self.run()])

    async def WatchRuns(
        self, request: pb.WatchRunsRequest, context: Any
    ) -> AsyncIterator[pb.WatchRunsResponse]:
        self._note(request)
        yield pb.WatchRunsResponse(runs=[self.run()], complete=True)

    async def GetPlan(self, request: pb.GetPlanRequest, context: Any) -> pb.GetPlanResponse:
        self._note(request)
        return pb.GetPlanResponse(plan=pb.Plan(name=self.title), revision=request.revision or 2)

    async def DraftPlan(self, request: pb.DraftPlanRequest, context: Any) -> pb.DraftPlanResponse:
        self._note(request)
        return pb.DraftPlanResponse(run=self.run())

    async def GetDraft(self, request: pb.GetDraftRequest, context: Any) -> pb.GetDraftResponse:
        self._note(request)
        return pb.GetDraftResponse(draft=pb.Draft(attempt=ATTEMPT, text="name: x"))

    async def ApplyPlan(self, request: pb.ApplyPlanRequest, context: Any) -> pb.ApplyPlanResponse:
        self._note(request)
        return pb.ApplyPlanResponse(revision=3)

    async def ForecastRun(self, request: pb.ForecastRunRequest, context: Any) -> pb.ForecastRunResponse:
        self._note(request)
        return pb.ForecastRunResponse(forecast=pb.Forecast(critical_path=["api"]))

    async def UpdateRun(self, request: pb.UpdateRunRequest, context: Any) -> pb.UpdateRunResponse:
        self._note(request)
        return pb.UpdateRunResponse(run=self.run())

    async def PauseRun(self, request: pb.PauseRunRequest, context: Any) -> pb.PauseRunResponse:
        self._note(request)
        return pb.PauseRunResponse(run=self.run())

    async def ListTasks(self, request: pb.ListTasksRequest, context: Any) -> pb.ListTasksResponse:
        self._note(request)
        place = int(request.page_token or 1)
        token = str(place + 1) if place < 3 else ""
        return pb.ListTasksResponse(tasks=[pb.Task(key=f"task-{place}")], next_page_token=token)

    async def GetAttempt(self, request: pb.GetAttemptRequest, context: Any) -> pb.GetAttemptResponse:
        self._note(request)
        state = pb.ATTEMPT_STATE_ACCEPTED
        attempt = pb.Attempt(name=ATTEMPT, state=state, session_sequence=self.length)
        return pb.GetAttemptResponse(attempt=attempt)

    async def GetDiff(self, request: pb.GetDiffRequest, context: Any) -> AsyncIterator[pb.GetDiffResponse]:
        self._note(request)
        yield pb.GetDiffResponse(text="+one\n")
        yield pb.GetDiffResponse(text="+two\n", truncated=True)

    async def WatchRun(self, request: pb.WatchRunRequest, context: Any) -> AsyncIterator[pb.WatchRunResponse]:
        self._note(request)
        async for events, last in self._stream(request.after_sequence):
            yield pb.WatchRunResponse(events=events, resume_sequence=last, run=self.run())

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: Any
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        self._note(request)
        async for events, last in self._stream(request.after_sequence):
            yield pb.WatchSessionResponse(events=events, resume_sequence=last)

    async def ResumeRun(self, request: pb.ResumeRunRequest, context: Any) -> pb.ResumeRunResponse:
        self._note(request)
        return pb.ResumeRunResponse(run=self.run())

    async def CancelRun(self, request: pb.CancelRunRequest, context: Any) -> pb.CancelRunResponse:
        self._note(request)
        return pb.CancelRunResponse(run=self.run())

    async def ListEpics(self, request: pb.ListEpicsRequest, context: Any) -> pb.ListEpicsResponse:
        self._note(request)
        return pb.ListEpicsResponse(epics=[pb.Epic(name=f"{RUN}/epics/api", key="api", title="Backend API")])

    async def RetryMerge(self, request: pb.RetryMergeRequest, context: Any) -> pb.RetryMergeResponse:
        self._note(request)
        return pb.RetryMergeResponse(epic=pb.Epic(name=request.name))

    async def PushRun(self, request: pb.PushRunRequest, context: Any) -> pb.PushRunResponse:
        self._note(request)
        return pb.PushRunResponse(run=self.run())

    async def ResolveConflict(
        self, request: pb.ResolveConflictRequest, context: Any
    ) -> pb.ResolveConflictResponse:
        self._note(request)
        return pb.ResolveConflictResponse(epic=pb.Epic(name=request.name))

    async def GetEpicConflict(
        self, request: pb.GetEpicConflictRequest, context: Any
    ) -> pb.GetEpicConflictResponse:
        self._note(request)
        return pb.GetEpicConflictResponse()

    async def GetConflictFile(
        self, request: pb.GetConflictFileRequest, context: Any
    ) -> pb.GetConflictFileResponse:
        self._note(request)
        return pb.GetConflictFileResponse()

    async def SubmitResolution(
        self, request: pb.SubmitResolutionRequest, context: Any
    ) -> pb.SubmitResolutionResponse:
        self._note(request)
        return pb.SubmitResolutionResponse(epic=pb.Epic(name=request.name))

    async def SyncBase(self, request: pb.SyncBaseRequest, context: Any) -> pb.SyncBaseResponse:
        self._note(request)
        return pb.SyncBaseResponse(epics=[pb.Epic(name=request.name)])

    async def DropEpic(self, request: pb.DropEpicRequest, context: Any) -> pb.DropEpicResponse:
        self._note(request)
        return pb.DropEpicResponse(epic=pb.Epic(name=request.name))

    async def GetConflicts(self, request: pb.GetConflictsRequest, context: Any) -> pb.GetConflictsResponse:
        self._note(request)
        return pb.GetConflictsResponse(sequence=self.length)

    async def AddTask(self, request: pb.AddTaskRequest, context: Any) -> pb.AddTaskResponse:
        self._note(request)
        return pb.AddTaskResponse(task=pb.Task(name=f"{request.parent}/tasks/added"))

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Any) -> pb.RetryTaskResponse:
        self._note(request)
        return pb.RetryTaskResponse(task=pb.Task(name=request.name))

    async def SkipTask(self, request: pb.SkipTaskRequest, context: Any) -> pb.SkipTaskResponse:
        self._note(request)
        return pb.SkipTaskResponse(task=pb.Task(name=request.name, state=pb.TASK_STATE_SKIPPED))

    async def ChooseCandidate(
        self, request: pb.ChooseCandidateRequest, context: Any
    ) -> pb.ChooseCandidateResponse:
        self._note(request)
        task = pb.Task(name=request.name, chosen_candidate=request.candidate)
        return pb.ChooseCandidateResponse(task=task)

    async def ListAttempts(self, request: pb.ListAttemptsRequest, context: Any) -> pb.ListAttemptsResponse:
        self._note(request)
        return pb.ListAttemptsResponse(attempts=[pb.Attempt(name=ATTEMPT)])

    async def StopAttempt(self, request: pb.StopAttemptRequest, context: Any) -> pb.StopAttemptResponse:
        self._note(request)
        return pb.StopAttemptResponse(attempt=pb.Attempt(name=request.name, state=pb.ATTEMPT_STATE_STOPPED))

    async def ListApprovals(self, request: pb.ListApprovalsRequest, context: Any) -> pb.ListApprovalsResponse:
        self._note(request)
        place = int(request.page_token or 1)
        approval = pb.Approval(attempt=ATTEMPT, approval_id=f"approval-{place}")
        token = str(place + 1) if place < 3 else ""
        return pb.ListApprovalsResponse(approvals=[approval], next_page_token=token)

    async def ResolveApproval(
        self, request: pb.ResolveApprovalRequest, context: Any
    ) -> pb.ResolveApprovalResponse:
        self._note(request)
        return pb.ResolveApprovalResponse()

    async def RevokePermission(
        self, request: pb.RevokePermissionRequest, context: Any
    ) -> pb.RevokePermissionResponse:
        self._note(request)
        return pb.RevokePermissionResponse(run=self.run())

    async def SendMessage(self, request: pb.SendMessageRequest, context: Any) -> pb.SendMessageResponse:
        self._note(request)
        return pb.SendMessageResponse()

    async def ListEvents(self, request: pb.ListEventsRequest, context: Any) -> pb.ListEventsResponse:
        self._note(request)
        last = min(request.after_sequence + 7, self.length)
        events = [pb.Event(run=RUN, sequence=each) for each in range(request.after_sequence + 1, last + 1)]
        return pb.ListEventsResponse(events=events, resume_sequence=last, more=last < self.length)

    async def ListSessionEvents(
        self, request: pb.ListSessionEventsRequest, context: Any
    ) -> pb.ListSessionEventsResponse:
        self._note(request)
        return pb.ListSessionEventsResponse(last_sequence=self.length)

    async def ReadArtifact(
        self, request: pb.ReadArtifactRequest, context: Any
    ) -> AsyncIterator[pb.ReadArtifactResponse]:
        self._note(request)
        yield pb.ReadArtifactResponse(data=b"png")

    async def ListCosts(self, request: pb.ListCostsRequest, context: Any) -> pb.ListCostsResponse:
        self._note(request)
        return pb.ListCostsResponse(total=pb.Cost(name=request.parent))

    async def ListEpicWorktrees(
        self, request: pb.ListEpicWorktreesRequest, context: Any
    ) -> pb.ListEpicWorktreesResponse:
        self._note(request)
        return pb.ListEpicWorktreesResponse(
            worktrees=[pb.EpicWorktree(name=f"{RUN}/epics/api/worktree", disk_bytes=5)]
        )

    async def RestoreEpicWorktree(
        self, request: pb.RestoreEpicWorktreeRequest, context: Any
    ) -> pb.RestoreEpicWorktreeResponse:
        self._note(request)
        return pb.RestoreEpicWorktreeResponse(worktree=pb.EpicWorktree(name=request.name))

    async def RemoveEpicWorktree(
        self, request: pb.RemoveEpicWorktreeRequest, context: Any
    ) -> pb.RemoveEpicWorktreeResponse:
        self._note(request)
        return pb.RemoveEpicWorktreeResponse(worktree=pb.EpicWorktree(name=request.name))

    async def ListDailyCosts(
        self, request: pb.ListDailyCostsRequest, context: Any
    ) -> pb.ListDailyCostsResponse:
        self._note(request)
        return pb.ListDailyCostsResponse(costs=[pb.DailyCost(date="2030-01-07", cost_usd_micros=5)])

    async def CollectGarbage(
        self, request: pb.CollectGarbageRequest, context: Any
    ) -> pb.CollectGarbageResponse:
        self._note(request)
        return pb.CollectGarbageResponse(problems=["one"] if request.validate_only else [])

    async def ListHolds(self, request: pb.ListHoldsRequest, context: Any) -> pb.ListHoldsResponse:
        self._note(request)
        return pb.ListHoldsResponse()

    async def LiftHold(self, request: pb.LiftHoldRequest, context: Any) -> pb.LiftHoldResponse:
        self._note(request)
        return pb.LiftHoldResponse(resumed_runs=[RUN])

    async def CreateSchedule(
        self, request: pb.CreateScheduleRequest, context: Any
    ) -> pb.CreateScheduleResponse:
        self._note(request)
        return pb.CreateScheduleResponse(schedule=pb.Schedule(name="schedules/s"))

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Any) -> pb.ListSchedulesResponse:
        self._note(request)
        return pb.ListSchedulesResponse(schedules=[pb.Schedule(name="schedules/s")])

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, context: Any
    ) -> pb.UpdateScheduleResponse:
        self._note(request)
        return pb.UpdateScheduleResponse(schedule=pb.Schedule(name=request.name, paused=request.paused))

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, context: Any
    ) -> pb.DeleteScheduleResponse:
        self._note(request)
        return pb.DeleteScheduleResponse()

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Any) -> pb.ListWorkersResponse:
        self._note(request)
        return pb.ListWorkersResponse(workers=[pb.Worker(name="workers/local", slots=8, connected=True)])

    async def RegisterWorker(
        self, request: pb.RegisterWorkerRequest, context: Any
    ) -> pb.RegisterWorkerResponse:
        self._note(request)
        return pb.RegisterWorkerResponse()

    async def DrainWorker(self, request: pb.DrainWorkerRequest, context: Any) -> pb.DrainWorkerResponse:
        self._note(request)
        return pb.DrainWorkerResponse(worker=pb.Worker(name=request.name, connected=True, draining=True))

    async def UndrainWorker(self, request: pb.UndrainWorkerRequest, context: Any) -> pb.UndrainWorkerResponse:
        self._note(request)
        return pb.UndrainWorkerResponse(worker=pb.Worker(name=request.name, connected=True))

    async def OpenTerminal(
        self, requests: AsyncIterator[pb.OpenTerminalRequest], context: Any
    ) -> AsyncIterator[pb.OpenTerminalResponse]:
        async for request in requests:
            self._note(request)
            yield pb.OpenTerminalResponse(output=request.input.upper())

    async def _stream(self, after: int) -> AsyncIterator[tuple[list[pb.Event], int]]:
        self.streams += 1
        stream = self.streams
        for sequence in range(after + 1, self.length + 1)[: self.cut]:
            if self.before_answer is not None:
                await self.before_answer(stream, sequence)
            yield [pb.Event(run=RUN, sequence=sequence)], sequence
            await asyncio.sleep(0)

    def run(self) -> pb.Run:
        """Returns the run at its end."""
        return pb.Run(name=RUN, title=self.title, state=self.run_state, sequence=self.length)

    def service(self) -> Service:
        """Returns the service, for tests.support.services."""

        def register(server: grpc.aio.Server) -> None:
            scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server(self, server)
            identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(Ada(), server)  # type: ignore[abstract]  # the web app calls only this method

        return Service(["heddle.v1.SchedulerService"], register, ADA)

    def _note(self, request: Any) -> None:
        self.requests.append(request)
        if self.refusals:
            raise self.refusals.pop(0)
