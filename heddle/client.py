"""The Python client: every call of the scheduler, with retries, and watches that resume by themselves."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Final, Self

import grpc

from heddle import pb, urls
from heddle.calling import CALL_TIMEOUT, Caller, OnBreak, ServerUnreachable
from heddle.channels import open_channel
from heddle.config import Tls
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

# ServerUnreachable is what callers catch.
__all__ = ["ENDED_ATTEMPT", "ENDED_RUN", "HeddleClient", "ServerUnreachable"]

# Seconds that a call may take which waits for processes to end.
STOP_TIMEOUT: Final = 600.0
CLONE_TIMEOUT: Final = 900.0

# The same for a git in each of many worktrees.
LOOK_TIMEOUT: Final = 120.0

ENDED_RUN: Final = frozenset({pb.RUN_STATE_SUCCEEDED, pb.RUN_STATE_FAILED, pb.RUN_STATE_CANCELLED})
ENDED_ATTEMPT: Final = frozenset(
    {
        pb.ATTEMPT_STATE_ACCEPTED,
        pb.ATTEMPT_STATE_FAILED,
        pb.ATTEMPT_STATE_STOPPED,
        pb.ATTEMPT_STATE_LOST,
        pb.ATTEMPT_STATE_PARKED,
    }
)


class HeddleClient:
    """A connection to one scheduler; use it as an async context manager.

    Unary calls are tried again while the server is unavailable, for at most
    `patience` seconds. Mutations carry a request_id, so that a repeated one is
    done once. `actor` stands in the events that a mutation causes, as "user:ada".

    Every call raises HeddleError where the server refused, ServerUnreachable
    where none answered.
    """

    def __init__(
        self, address: str, tls: Tls | None = None, *, actor: str = "", patience: float = 10.0
    ) -> None:
        self._actor = actor
        self._caller = Caller(address, actor, patience)
        self._channel = open_channel(address, tls)
        self._stub = SchedulerServiceStub(self._channel)

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
        """Returns a guess of what is left; without `remaining` where nothing can be said yet."""
        return (await self._caller.call(self._stub.ForecastRun, pb.ForecastRunRequest(name=name))).forecast

    async def update_run(self, name: str, *, max_parallel: int) -> pb.Run:
        """Changes how many sessions the run may have at once; those that run go on."""
        request = pb.UpdateRunRequest(name=name, max_parallel=max_parallel)
        return (await self._caller.mutate(self._stub.UpdateRun, request)).run

    async def pause_run(self, name: str) -> pb.Run:
        return (await self._caller.mutate(self._stub.PauseRun, pb.PauseRunRequest(name=name))).run

    async def resume_run(
        self, name: str, *, budget_usd_micros: int | None = None, budget_of: str = ""
    ) -> pb.Run:
        """Lets a paused run go on; `budget_of` is the epic or task that gets the budget, else the run does."""
        request = pb.ResumeRunRequest(name=name, budget_usd_micros=budget_usd_micros, budget_of=budget_of)
        return (await self._caller.mutate(self._stub.ResumeRun, request)).run

    async def cancel_run(self, name: str) -> pb.Run:
        """Returns the ended run once every process of it is gone."""
        request = pb.CancelRunRequest(name=name)
        return (await self._caller.mutate(self._stub.CancelRun, request, timeout=STOP_TIMEOUT)).run

    async def list_epics(self, parent: str) -> list[pb.Epic]:
        """Returns all epics of a run, in the order of the plan."""
        epics: list[pb.Epic] = []
        request = pb.ListEpicsRequest(parent=parent)
        while True:
            page = await self._caller.call(self._stub.ListEpics, request)
            epics += page.epics
            if not page.next_page_token:
                return epics
            request.page_token = page.next_page_token

    async def retry_merge(self, name: str) -> pb.Epic:
        """Merges an epic again whose merge conflicted or failed, once its cause is mended."""
        return (await self._caller.mutate(self._stub.RetryMerge, pb.RetryMergeRequest(name=name))).epic

    async def push_run(self, name: str) -> pb.Run:
        """Pushes again what the remote did not take; what it still refuses is in the returned run."""
        request = pb.PushRunRequest(name=name)
        return (await self._caller.mutate(self._stub.PushRun, request, timeout=STOP_TIMEOUT)).run

    async def resolve_conflict(self, name: str, *, agent: str = "") -> pb.Epic:
        """Has an agent resolve what an epic conflicts over, its last task's if none is named; returns the epic."""
        request = pb.ResolveConflictRequest(name=name, agent=agent)
        return (await self._caller.mutate(self._stub.ResolveConflict, request)).epic

    async def drop_epic(self, name: str) -> pb.Epic:
        """Leaves an epic unmerged; returns it."""
        return (await self._caller.mutate(self._stub.DropEpic, pb.DropEpicRequest(name=name))).epic

    async def get_conflicts(self, name: str) -> pb.GetConflictsResponse:
        """Returns what a run's epics will conflict over, what each wrote, and the merge queue."""
        return await self._caller.call(self._stub.GetConflicts, pb.GetConflictsRequest(name=name))

    async def list_tasks(self, parent: str) -> list[pb.Task]:
        """Returns all tasks of an epic, or of a run as runs/RUN/epics/-, in planned order."""
        tasks: list[pb.Task] = []
        request = pb.ListTasksRequest(parent=parent)
        while True:
            page = await self._caller.call(self._stub.ListTasks, request)
            tasks += page.tasks
            if not page.next_page_token:
                return tasks
            request.page_token = page.next_page_token

    async def add_task(self, parent: str, task: pb.PlanTask, *, request_id: str = "") -> pb.Task:
        """Adds a task to an epic, which goes on where it had ended; the same request_id again adds it once."""
        request = pb.AddTaskRequest(parent=parent, task=task, request_id=request_id)
        return (await self._caller.mutate(self._stub.AddTask, request)).task

    async def retry_task(
        self, name: str, *, agent: str = "", from_here: bool = False, resume: bool = False
    ) -> pb.Task:
        """Gives a failed or skipped task a new attempt; `agent` does it in place of its own.

        With `from_here` also an accepted one: it and all that its epic did after it are done anew.
        With `resume` the new attempt continues the session of the last one, with its files.
        """
        request = pb.RetryTaskRequest(name=name, agent=agent, from_here=from_here, resume=resume)
        return (await self._caller.mutate(self._stub.RetryTask, request)).task

    async def skip_task(self, name: str) -> pb.Task:
        """Takes a pending or failed task out of its epic, which goes on without it."""
        return (await self._caller.mutate(self._stub.SkipTask, pb.SkipTaskRequest(name=name))).task

    async def get_attempt(self, name: str) -> pb.Attempt:
        return (await self._caller.call(self._stub.GetAttempt, pb.GetAttemptRequest(name=name))).attempt

    async def list_attempts(self, parent: str) -> list[pb.Attempt]:
        """Returns all attempts of a task, oldest first; "-" stands for every epic or task."""
        attempts: list[pb.Attempt] = []
        request = pb.ListAttemptsRequest(parent=parent)
        while True:
            page = await self._caller.call(self._stub.ListAttempts, request)
            attempts += page.attempts
            if not page.next_page_token:
                return attempts
            request.page_token = page.next_page_token

    async def stop_attempt(self, name: str) -> pb.Attempt:
        """Returns the ended attempt once its agent and all descendants are gone."""
        request = pb.StopAttemptRequest(name=name)
        return (await self._caller.mutate(self._stub.StopAttempt, request, timeout=STOP_TIMEOUT)).attempt

    async def list_holds(self) -> list[pb.Hold]:
        """Returns the providers of models that take no work now, by name."""
        return list((await self._caller.call(self._stub.ListHolds, pb.ListHoldsRequest())).holds)

    async def lift_hold(self, provider: str) -> list[str]:
        """Lets a provider's agents start at once; returns the names of the runs that this resumes."""
        request = pb.LiftHoldRequest(provider=provider)
        return list((await self._caller.mutate(self._stub.LiftHold, request)).resumed_runs)

    async def list_costs(
        self, parent: str = "", *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListCostsResponse:
        """Returns one page of what is below `parent`, as ListCostsRequest says; absent: the projects."""
        request = pb.ListCostsRequest(parent=parent, page_size=page_size, page_token=page_token)
        return await self._caller.call(self._stub.ListCosts, request)

    async def list_approvals(self) -> list[pb.Approval]:
        """Returns what sessions of all runs ask the operator now, the oldest question first."""
        approvals: list[pb.Approval] = []
        request = pb.ListApprovalsRequest()
        while True:
            page = await self._caller.call(self._stub.ListApprovals, request)
            approvals += page.approvals
            if not page.next_page_token:
                return approvals
            request.page_token = page.next_page_token

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
        """Tells the agent of a session something; one that works on reads it as soon as it can."""
        request = pb.SendMessageRequest(
            attempt=attempt, text=text, message_id=message_id or uuid.uuid4().hex, actor=self._actor
        )
        await self._caller.call(self._stub.SendMessage, request)

    async def list_events(self, parent: str, *, after: int = 0) -> AsyncIterator[pb.Event]:
        """Yields the run's events behind `after` up to the newest."""
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
        """Returns one page of a session's log: behind `after`, or the newest ones ahead of `before`."""
        request = pb.ListSessionEventsRequest(
            parent=parent, after_sequence=after, before_sequence=before, page_size=page_size
        )
        return await self._caller.call(self._stub.ListSessionEvents, request)

    async def read_artifact(self, attempt: str, artifact: str) -> bytes:
        """Returns the bytes of a screenshot; `artifact` as in its event."""
        request = pb.ReadArtifactRequest(attempt=attempt, artifact=artifact)
        return b"".join([part.data for part in await self._caller.collect(self._stub.ReadArtifact, request)])

    async def get_diff(self, name: str, *, max_bytes: int = 0) -> pb.GetDiffResponse:
        """Returns the whole diff of an attempt, epic or run; `truncated` where it is longer than asked."""
        request = pb.GetDiffRequest(name=name, max_bytes=max_bytes)
        parts = await self._caller.collect(self._stub.GetDiff, request)
        text = "".join(part.text for part in parts)
        return pb.GetDiffResponse(text=text, truncated=any(part.truncated for part in parts))

    async def list_epic_worktrees(
        self, parent: str = "runs/-", *, sizes_only: bool = False
    ) -> list[pb.EpicWorktree]:
        """Returns all worktrees of a run, or of all, and those that were archived.

        `sizes_only`: sooner, without whether they are dirty.
        """
        worktrees: list[pb.EpicWorktree] = []
        request = pb.ListEpicWorktreesRequest(parent=parent, sizes_only=sizes_only)
        while True:
            page = await self._caller.call(self._stub.ListEpicWorktrees, request, timeout=LOOK_TIMEOUT)
            worktrees += page.worktrees
            if not page.next_page_token:
                return worktrees
            request.page_token = page.next_page_token

    async def restore_epic_worktree(self, name: str) -> pb.EpicWorktree:
        """Brings an archived worktree back; `name` as runs/RUN/epics/EPIC/worktree."""
        request = pb.RestoreEpicWorktreeRequest(name=name)
        stub = self._stub.RestoreEpicWorktree
        return (await self._caller.mutate(stub, request, timeout=STOP_TIMEOUT)).worktree

    async def collect_garbage(self, *, dry_run: bool = False) -> pb.CollectGarbageResponse:
        """Removes what is no longer kept and returns it; `dry_run`: only returns it."""
        request = pb.CollectGarbageRequest(validate_only=dry_run)
        return await self._caller.mutate(self._stub.CollectGarbage, request, timeout=STOP_TIMEOUT)

    async def list_workers(self) -> list[pb.Worker]:
        workers: list[pb.Worker] = []
        request = pb.ListWorkersRequest()
        while True:
            page = await self._caller.call(self._stub.ListWorkers, request)
            workers += page.workers
            if not page.next_page_token:
                return workers
            request.page_token = page.next_page_token

    def watch_run(
        self, name: str, *, after: int = 0, on_break: OnBreak | None = None
    ) -> AsyncGenerator[pb.WatchRunResponse, None]:
        """Yields every answer of the run's watch, across breaks, until the run has ended.

        Nothing is lost or repeated. It waits for the server without end;
        `on_break` hears why after each break, and the next answer means that the
        watch is back. Raises HeddleError where the server refuses.
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
        """Yields every answer of the session's watch until the session has ended; as `watch_run`."""

        async def is_over(seen: int) -> bool:
            now = await self.get_attempt(attempt)
            return now.state in ENDED_ATTEMPT and now.session_sequence <= seen

        def begin(seen: int) -> grpc.aio.UnaryStreamCall[pb.WatchSessionRequest, pb.WatchSessionResponse]:
            return self._stub.WatchSession(pb.WatchSessionRequest(attempt=attempt, after_sequence=seen))

        return self._caller.watch(begin, is_over, after, on_break)

    def watch_runs(
        self, *, newest: int = 0, on_break: OnBreak | None = None
    ) -> AsyncGenerator[pb.WatchRunsResponse, None]:
        """Yields all that go on and the `newest` others, then each run that changed, without end.

        Behind a break it begins anew: overwrite what you hold. As `watch_run` otherwise.
        """

        async def is_over(_: int) -> bool:
            return False

        def begin(_: int) -> grpc.aio.UnaryStreamCall[pb.WatchRunsRequest, pb.WatchRunsResponse]:
            return self._stub.WatchRuns(pb.WatchRunsRequest(newest=newest))

        return self._caller.watch(begin, is_over, 0, on_break, lambda _: 0)
