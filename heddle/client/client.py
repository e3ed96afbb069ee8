"""The Python client: every call of the scheduler, with retries, and watches that resume automatically."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Final, Self

import grpc

from heddle import pb, urls
from heddle.client.conflicts import ConflictCalls
from heddle.client.identity import IdentityCalls
from heddle.client.plans import PlanCalls
from heddle.client.rpc_caller import CALL_TIMEOUT, CLONE_TIMEOUT, Caller, OnBreak
from heddle.client.workers import WorkerCalls
from heddle.config import Tls
from heddle.rpc.channels import open_channel
from heddle.rpc.paging import pages
from heddle.v1.identity_service_pb2_grpc import IdentityServiceStub
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

# Timeout in seconds of calls that wait for processes to end.
STOP_TIMEOUT: Final = 600.0

# Timeout in seconds of calls that run git in many worktrees.
LOOK_TIMEOUT: Final = 120.0

ENDED_RUN: Final = frozenset({pb.RUN_STATE_SUCCEEDED, pb.RUN_STATE_FAILED, pb.RUN_STATE_CANCELLED})
ENDED_ATTEMPT: Final = frozenset(
    {
        pb.ATTEMPT_STATE_ACCEPTED,
        pb.ATTEMPT_STATE_FAILED,
        pb.ATTEMPT_STATE_STOPPED,
        pb.ATTEMPT_STATE_LOST,
        pb.ATTEMPT_STATE_PARKED,
        pb.ATTEMPT_STATE_SUBMITTED,
        pb.ATTEMPT_STATE_REVIEWED,
        pb.ATTEMPT_STATE_NOT_CHOSEN,
    }
)


class HeddleClient(ConflictCalls, IdentityCalls, PlanCalls, WorkerCalls):
    """A connection to one scheduler; use it as an async context manager.

    Unary calls are retried while the server is unavailable, for at most
    `patience` seconds. Mutations carry a request_id, so a repeated mutation
    takes effect once. `token` is the credential, or a function that returns it for each call;
    its owner is the actor in the events of a mutation. `heddle token` prints that of the operator.

    Every call raises HeddleError if the server rejected it, ServerUnreachable if
    no server answered.
    """

    def __init__(
        self,
        address: str,
        tls: Tls | None = None,
        *,
        token: str | Callable[[], str] = "",
        patience: float = 10.0,
    ) -> None:
        sign = token if callable(token) else lambda: token
        self._caller = Caller(address, patience, sign)
        self._channel = open_channel(address, tls, sign)
        self._stub = SchedulerServiceStub(self._channel)
        self._identity = IdentityServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and every call on it. Idempotent."""
        await self._channel.close()

    async def create_run(self, request: pb.CreateRunRequest) -> pb.Run:
        """Creates a run, or returns the one that the same `request_id` created before."""
        timeout = CLONE_TIMEOUT if urls.is_url(request.project) else CALL_TIMEOUT
        return (await self._caller.mutate(self._stub.CreateRun, request, timeout=timeout)).run

    async def get_run(self, name: str) -> pb.Run:
        return (await self._caller.call(self._stub.GetRun, pb.GetRunRequest(name=name))).run

    async def list_runs(self, *, page_size: int = 0, page_token: str = "") -> pb.ListRunsResponse:
        """Returns one page, the newest run first."""
        request = pb.ListRunsRequest(page_size=page_size, page_token=page_token)
        return await self._caller.call(self._stub.ListRuns, request)

    async def forecast_run(self, name: str) -> pb.Forecast:
        """Returns an estimate of the remaining time; `remaining` is unset if there is none yet."""
        return (await self._caller.call(self._stub.ForecastRun, pb.ForecastRunRequest(name=name))).forecast

    async def update_run(self, name: str, *, max_parallel: int) -> pb.Run:
        """Changes the maximum number of parallel sessions; running sessions continue."""
        request = pb.UpdateRunRequest(name=name, max_parallel=max_parallel)
        return (await self._caller.mutate(self._stub.UpdateRun, request)).run

    async def revoke_permission(self, name: str, rule: str) -> pb.Run:
        """Takes back what an answer to a question has allowed in the whole run; later sessions ask again."""
        request = pb.RevokePermissionRequest(name=name, rule=rule)
        return (await self._caller.mutate(self._stub.RevokePermission, request)).run

    async def pause_run(self, name: str) -> pb.Run:
        return (await self._caller.mutate(self._stub.PauseRun, pb.PauseRunRequest(name=name))).run

    async def resume_run(
        self, name: str, *, budget_usd_micros: int | None = None, budget_of: str = ""
    ) -> pb.Run:
        """Resumes a paused run; the budget applies to the run, or to the epic or task `budget_of`."""
        request = pb.ResumeRunRequest(name=name, budget_usd_micros=budget_usd_micros, budget_of=budget_of)
        return (await self._caller.mutate(self._stub.ResumeRun, request)).run

    async def cancel_run(self, name: str) -> pb.Run:
        """Returns the ended run once all of its processes have ended."""
        request = pb.CancelRunRequest(name=name)
        return (await self._caller.mutate(self._stub.CancelRun, request, timeout=STOP_TIMEOUT)).run

    async def list_epics(self, parent: str) -> list[pb.Epic]:
        """Returns all epics of a run, in the order of the plan."""
        request = pb.ListEpicsRequest(parent=parent)
        call = partial(self._caller.call, self._stub.ListEpics)
        return [each async for page in pages(call, request) for each in page.epics]

    async def retry_merge(self, name: str) -> pb.Epic:
        """Retries a merge that conflicted or failed, or starts a manual one."""
        return (await self._caller.mutate(self._stub.RetryMerge, pb.RetryMergeRequest(name=name))).epic

    async def push_run(self, name: str) -> pb.Run:
        """Retries pushes that the remote rejected; those that still fail are in the returned run."""
        request = pb.PushRunRequest(name=name)
        return (await self._caller.mutate(self._stub.PushRun, request, timeout=STOP_TIMEOUT)).run

    async def resolve_conflict(self, name: str, *, agent: str = "") -> pb.Epic:
        """Lets an agent, by default that of the last task, resolve the conflict of an epic; returns the epic."""
        request = pb.ResolveConflictRequest(name=name, agent=agent)
        return (await self._caller.mutate(self._stub.ResolveConflict, request)).epic

    async def sync_base(self, name: str, *, cancel: bool = False) -> list[pb.Epic]:
        """Has an epic, or the epics of a run, take in the project's branch, or not; returns the epics concerned."""
        request = pb.SyncBaseRequest(name=name, cancel=cancel)
        return list((await self._caller.mutate(self._stub.SyncBase, request)).epics)

    async def drop_epic(self, name: str) -> pb.Epic:
        """Drops an epic, which stays unmerged; returns it."""
        return (await self._caller.mutate(self._stub.DropEpic, pb.DropEpicRequest(name=name))).epic

    async def get_conflicts(self, name: str) -> pb.GetConflictsResponse:
        """Returns predicted conflicts between a run's epics, the paths that each wrote, and the merge queue."""
        return await self._caller.call(self._stub.GetConflicts, pb.GetConflictsRequest(name=name))

    async def list_tasks(self, parent: str) -> list[pb.Task]:
        """Returns all tasks of an epic, or with runs/RUN/epics/- of a run, in planned order."""
        request = pb.ListTasksRequest(parent=parent)
        call = partial(self._caller.call, self._stub.ListTasks)
        return [each async for page in pages(call, request) for each in page.tasks]

    async def retry_task(
        self,
        name: str,
        *,
        agent: str = "",
        model: str = "",
        from_here: bool = False,
        resume: bool = False,
    ) -> pb.Task:
        """Gives a failed or skipped task a new attempt; `agent` and `model` replace the task's own.

        `from_here`: also for an accepted task; it and all later tasks of its epic are done again.
        `resume`: the new attempt continues the session of the last one, with its files.
        """
        request = pb.RetryTaskRequest(name=name, agent=agent, model=model, from_here=from_here, resume=resume)
        return (await self._caller.mutate(self._stub.RetryTask, request)).task

    async def skip_task(self, name: str) -> pb.Task:
        """Skips a pending or failed task; its epic continues without it."""
        return (await self._caller.mutate(self._stub.SkipTask, pb.SkipTaskRequest(name=name))).task

    async def choose_candidate(self, name: str, candidate: int) -> pb.Task:
        """Has the work of a candidate accepted, by its number from 1; `name` is its task."""
        request = pb.ChooseCandidateRequest(name=name, candidate=candidate)
        return (await self._caller.mutate(self._stub.ChooseCandidate, request)).task

    async def get_attempt(self, name: str) -> pb.Attempt:
        return (await self._caller.call(self._stub.GetAttempt, pb.GetAttemptRequest(name=name))).attempt

    async def list_attempts(self, parent: str) -> list[pb.Attempt]:
        """Returns all attempts of a task, oldest first; "-" matches every epic or task."""
        request = pb.ListAttemptsRequest(parent=parent)
        call = partial(self._caller.call, self._stub.ListAttempts)
        return [each async for page in pages(call, request) for each in page.attempts]

    async def stop_attempt(self, name: str) -> pb.Attempt:
        """Returns the ended attempt once its agent and all of its descendants have ended."""
        request = pb.StopAttemptRequest(name=name)
        return (await self._caller.mutate(self._stub.StopAttempt, request, timeout=STOP_TIMEOUT)).attempt

    async def list_holds(self) -> list[pb.Hold]:
        """Returns the model providers on hold, by name."""
        return list((await self._caller.call(self._stub.ListHolds, pb.ListHoldsRequest())).holds)

    async def lift_hold(self, provider: str) -> list[str]:
        """Lifts the hold of a provider; returns the names of the runs that resume."""
        request = pb.LiftHoldRequest(provider=provider)
        return list((await self._caller.mutate(self._stub.LiftHold, request)).resumed_runs)

    async def list_costs(
        self, parent: str = "", *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListCostsResponse:
        """Returns one page of what is below `parent`, as in ListCostsRequest; empty: the projects."""
        request = pb.ListCostsRequest(parent=parent, page_size=page_size, page_token=page_token)
        return await self._caller.call(self._stub.ListCosts, request)

    async def list_daily_costs(self, *, days: int = 0, project: str = "") -> list[pb.DailyCost]:
        """Returns the cost by day, person, agent and project, the oldest day first."""
        request = pb.ListDailyCostsRequest(days=days, project=project)
        return list((await self._caller.call(self._stub.ListDailyCosts, request)).costs)

    async def list_approvals(self) -> list[pb.Approval]:
        """Returns the open questions of sessions of all runs, oldest first."""
        request = pb.ListApprovalsRequest()
        call = partial(self._caller.call, self._stub.ListApprovals)
        return [each async for page in pages(call, request) for each in page.approvals]

    async def resolve_approval(
        self,
        attempt: str,
        approval_id: str,
        *,
        approved: bool,
        message: str = "",
        scope: "pb.ApprovalScope.ValueType" = pb.APPROVAL_SCOPE_UNSPECIFIED,
        rule: str = "",
    ) -> None:
        request = pb.ResolveApprovalRequest(
            attempt=attempt,
            approval_id=approval_id,
            approved=approved,
            message=message,
            scope=scope,
            rule=rule,
        )
        await self._caller.mutate(self._stub.ResolveApproval, request)

    async def send_message(self, attempt: str, text: str, *, message_id: str = "") -> None:
        """Sends a message to the agent of a session, which reads it as soon as it can."""
        request = pb.SendMessageRequest(attempt=attempt, text=text, message_id=message_id or uuid.uuid4().hex)
        await self._caller.call(self._stub.SendMessage, request)

    async def list_events(self, parent: str, *, after: int = 0) -> AsyncIterator[pb.Event]:
        """Yields the run's events after `after` up to the newest."""
        while True:
            request = pb.ListEventsRequest(parent=parent, after_sequence=after)
            page = await self._caller.call(self._stub.ListEvents, request)
            for event in page.events:
                yield event
            after = page.resume_sequence
            if not page.more:
                return

    async def list_session_events(
        self, parent: str, *, after: int = 0, before: int = 0, page_size: int = 0
    ) -> pb.ListSessionEventsResponse:
        """Returns one page of a session's log: after `after`, or the newest ones before `before`."""
        request = pb.ListSessionEventsRequest(
            parent=parent, after_sequence=after, before_sequence=before, page_size=page_size
        )
        return await self._caller.call(self._stub.ListSessionEvents, request)

    async def read_artifact(self, attempt: str, artifact: str) -> bytes:
        """Returns the bytes of a screenshot; `artifact` as in its event."""
        request = pb.ReadArtifactRequest(attempt=attempt, artifact=artifact)
        return b"".join([part.data for part in await self._caller.collect(self._stub.ReadArtifact, request)])

    async def get_diff(self, name: str, *, max_bytes: int = 0) -> pb.GetDiffResponse:
        """Returns the whole diff of an attempt, epic or run; `truncated` if it is longer than `max_bytes`."""
        request = pb.GetDiffRequest(name=name, max_bytes=max_bytes)
        parts = await self._caller.collect(self._stub.GetDiff, request)
        text = "".join(part.text for part in parts)
        return pb.GetDiffResponse(text=text, truncated=any(part.truncated for part in parts))

    async def list_epic_worktrees(
        self, parent: str = "runs/-", *, sizes_only: bool = False
    ) -> list[pb.EpicWorktree]:
        """Returns all worktrees, present and archived, of a run or of all runs.

        `sizes_only`: faster, but `dirty` is unset.
        """
        request = pb.ListEpicWorktreesRequest(parent=parent, sizes_only=sizes_only)
        call = partial(self._caller.call, self._stub.ListEpicWorktrees, timeout=LOOK_TIMEOUT)
        return [each async for page in pages(call, request) for each in page.worktrees]

    async def restore_epic_worktree(self, name: str) -> pb.EpicWorktree:
        """Restores an archived worktree; `name` is runs/RUN/epics/EPIC/worktree."""
        request = pb.RestoreEpicWorktreeRequest(name=name)
        stub = self._stub.RestoreEpicWorktree
        return (await self._caller.mutate(stub, request, timeout=STOP_TIMEOUT)).worktree

    async def remove_epic_worktree(self, name: str) -> pb.EpicWorktree:
        """Removes the worktree of an ended run's epic; unaccepted work is archived first."""
        request = pb.RemoveEpicWorktreeRequest(name=name)
        stub = self._stub.RemoveEpicWorktree
        return (await self._caller.mutate(stub, request, timeout=STOP_TIMEOUT)).worktree

    async def collect_garbage(self, *, dry_run: bool = False) -> pb.CollectGarbageResponse:
        """Removes and returns everything past its retention time; `dry_run`: only returns it."""
        request = pb.CollectGarbageRequest(validate_only=dry_run)
        return await self._caller.mutate(self._stub.CollectGarbage, request, timeout=STOP_TIMEOUT)

    def watch_run(
        self, name: str, *, after: int = 0, on_break: OnBreak | None = None
    ) -> AsyncGenerator[pb.WatchRunResponse, None]:
        """Yields every response of the run's watch, across interruptions, until the run has ended.

        Nothing is lost or repeated. Waits for the server without a limit; `on_break`
        receives the cause of each interruption, and the next response means that the watch
        has resumed. Raises HeddleError if the server rejects the watch.
        """

        async def is_over(seen: int) -> bool:
            run = await self.get_run(name)
            return run.state in ENDED_RUN and run.sequence <= seen

        def begin(seen: int) -> grpc.aio.UnaryStreamCall[pb.WatchRunRequest, pb.WatchRunResponse]:
            return self._stub.WatchRun(pb.WatchRunRequest(name=name, after_sequence=seen))

        return self._caller.watch(begin, is_over, after, on_break)

    def watch_session(
        self, attempt: str, *, after: int = 0, on_break: OnBreak | None = None
    ) -> AsyncGenerator[pb.WatchSessionResponse, None]:
        """Yields every response of the session's watch until the session has ended; like `watch_run`."""

        async def is_over(seen: int) -> bool:
            now = await self.get_attempt(attempt)
            return now.state in ENDED_ATTEMPT and now.session_sequence <= seen

        def begin(seen: int) -> grpc.aio.UnaryStreamCall[pb.WatchSessionRequest, pb.WatchSessionResponse]:
            return self._stub.WatchSession(pb.WatchSessionRequest(attempt=attempt, after_sequence=seen))

        return self._caller.watch(begin, is_over, after, on_break)

    def watch_runs(
        self, *, newest: int = 0, on_break: OnBreak | None = None
    ) -> AsyncGenerator[pb.WatchRunsResponse, None]:
        """Yields all active runs and the `newest` others, then each changed run, without end.

        After an interruption it starts from the beginning: overwrite earlier state. Otherwise like
        `watch_run`.
        """

        async def is_over(_: int) -> bool:
            return False

        def begin(_: int) -> grpc.aio.UnaryStreamCall[pb.WatchRunsRequest, pb.WatchRunsResponse]:
            return self._stub.WatchRuns(pb.WatchRunsRequest(newest=newest))

        return self._caller.watch(begin, is_over, 0, on_break, lambda _: 0)
