"""Implements SchedulerService: converts each request into a domain call and the result into a response."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import grpc

from heddle import pb
from heddle.errors import invalid_field
from heddle.identity.principals import caller, current_call
from heddle.names import AttemptName, EpicName, RunName, TaskName, WorktreeName
from heddle.timing.clock import Clock
from scheduler_svc.api import run_stream, runs_stream, worker_relay
from scheduler_svc.api.plan_methods import PlanMethods
from scheduler_svc.api.resolution_methods import ResolutionMethods
from scheduler_svc.api.store_calls import StoreCalls
from scheduler_svc.api.sync_methods import SyncMethods
from scheduler_svc.api.terminal_relay import Terminals
from scheduler_svc.api.worker_methods import WorkerMethods
from scheduler_svc.commands.merges.epic_merges import drop, get_epic, resolve, retry_merge
from scheduler_svc.commands.runs import runs_and_tasks
from scheduler_svc.commands.runs.budgets import NewBudget, check_agent, check_budget
from scheduler_svc.commands.runs.create_run import StartRun
from scheduler_svc.commands.runs.push_run import push_run
from scheduler_svc.commands.runs.rewind import retry_from_here
from scheduler_svc.commands.workers.fleet import Fleet
from scheduler_svc.commands.workers.garbage import find_garbage
from scheduler_svc.commands.workers.worktree_list import list_worktrees
from scheduler_svc.model.eta import forecast
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import LOOP, Doorbell
from scheduler_svc.store.db.events import oldest_event, read_events
from scheduler_svc.store.db.times import micros
from scheduler_svc.store.outcomes.provider_outages import lift_hold
from scheduler_svc.store.queries import lists
from scheduler_svc.store.queries.costs import list_costs
from scheduler_svc.store.queries.merge_view import get_conflicts
from scheduler_svc.store.queries.page_tokens import page_size
from scheduler_svc.store.queries.resources import get_attempt, get_run, get_task
from scheduler_svc.store.queries.session_log import check_kept, check_sequence, list_session_events
from scheduler_svc.store.queries.spending import daily_costs
from scheduler_svc.store.queries.task_progress import read_stand
from scheduler_svc.store.rows.callers import requests
from scheduler_svc.store.rows.holds import list_holds
from scheduler_svc.store.rows.retention.run_retention import Retention

Context = grpc.aio.ServicerContext[Any, Any]

# Maximum size of a page of events, in bytes.
_PAGE_BYTES: Final = 1 << 20

# In microseconds.
_DAY: Final = 24 * 3600 * 1_000_000


class SchedulerServicer(PlanMethods, ResolutionMethods, SyncMethods, WorkerMethods):
    """The API of a replica, whether or not the replica is the leader."""

    def __init__(
        self,
        database: Database,
        doorbell: Doorbell,
        workers: Workers,
        clock: Clock,
        new_suffix: Callable[[], str],
        *,
        fleet: Fleet,
        start_run: StartRun,
        project_budget: int | None,
        retention: Retention,
    ) -> None:
        self._database = database
        self._now = lambda: micros(clock())
        self._store = StoreCalls(database, doorbell, self._now)
        self._doorbell = doorbell
        self._workers = workers
        self._fleet = fleet
        self._terminals = Terminals(database, workers, self._now)
        self._new_suffix = new_suffix
        self._start_run = start_run
        self._project_budget = project_budget
        self._retention = retention

    # Runs.

    async def CreateRun(self, request: pb.CreateRunRequest, context: Context) -> pb.CreateRunResponse:
        return pb.CreateRunResponse(run=await self._start_run(request, current_call(), self._now()))

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        name = RunName.parse(request.name)
        return pb.GetRunResponse(run=await self._store.read(get_run, name=name))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        return await self._store.read(lists.list_runs, request=request, projects=caller().projects)

    async def WatchRuns(
        self, request: pb.WatchRunsRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunsResponse]:
        newest = page_size(request.newest, 50, 500)
        projects = caller().projects
        async for answer in runs_stream.watch_runs(self._database, self._doorbell, newest, projects):
            yield answer

    async def ForecastRun(self, request: pb.ForecastRunRequest, context: Context) -> pb.ForecastRunResponse:
        name = RunName.parse(request.name)
        stand = await self._store.read(read_stand, name=name, now=self._now())
        slots = self._workers.slots_for(stand.home)
        parallel = max(1, min(stand.max_parallel, slots or stand.max_parallel))
        found = forecast(stand.plan, stand.tasks, parallel, stand.awaiting_merge)
        return pb.ForecastRunResponse(forecast=found)

    async def UpdateRun(self, request: pb.UpdateRunRequest, context: Context) -> pb.UpdateRunResponse:
        name = RunName.parse(request.name)
        if request.max_parallel < 1:
            raise invalid_field("max_parallel", "must be at least 1; to start nothing more, pause the run")
        return pb.UpdateRunResponse(
            run=await self._store.change(
                request,
                name,
                get_run,
                runs_and_tasks.update_run,
                actor=caller().name,
                max_parallel=request.max_parallel,
                now=self._now(),
            )
        )

    async def PauseRun(self, request: pb.PauseRunRequest, context: Context) -> pb.PauseRunResponse:
        name = RunName.parse(request.name)
        return pb.PauseRunResponse(
            run=await self._store.change(
                request, name, get_run, runs_and_tasks.pause_run, actor=caller().name, now=self._now()
            )
        )

    async def ResumeRun(self, request: pb.ResumeRunRequest, context: Context) -> pb.ResumeRunResponse:
        name = RunName.parse(request.name)
        budget = NewBudget.of(request)
        if budget is not None:
            await check_budget(self._database, self._workers, budget)
        return pb.ResumeRunResponse(
            run=await self._store.change(
                request,
                name,
                get_run,
                runs_and_tasks.resume_run,
                actor=caller().name,
                now=self._now(),
                budget=budget,
            )
        )

    async def CancelRun(self, request: pb.CancelRunRequest, context: Context) -> pb.CancelRunResponse:
        name = RunName.parse(request.name)
        await self._store.change(request, name, get_run, runs_and_tasks.cancel_run, actor=caller().name)
        ended = await self._store.wait(
            name,
            partial(get_run, name=name),
            lambda run: run.state in ENDED_RUN,
            stuck=lambda run: bool(run.waits_for),
        )
        return pb.CancelRunResponse(run=ended)

    # Epics, tasks, attempts.

    async def ListEpics(self, request: pb.ListEpicsRequest, context: Context) -> pb.ListEpicsResponse:
        return await self._store.read(lists.list_epics, request=request)

    async def RetryMerge(self, request: pb.RetryMergeRequest, context: Context) -> pb.RetryMergeResponse:
        name = EpicName.parse(request.name)
        return pb.RetryMergeResponse(
            epic=await self._store.change(
                request, name, get_epic, retry_merge, actor=caller().name, now=self._now()
            )
        )

    async def PushRun(self, request: pb.PushRunRequest, context: Context) -> pb.PushRunResponse:
        name = RunName.parse(request.name)
        work = await push_run(self._database, self._workers, name, caller().name, self._now())
        return pb.PushRunResponse(
            run=await self._store.once(request, name, work, partial(get_run, name=name))
        )

    async def ResolveConflict(
        self, request: pb.ResolveConflictRequest, context: Context
    ) -> pb.ResolveConflictResponse:
        name = EpicName.parse(request.name)
        if request.agent:
            await self._check_agent(request.agent, name)
        return pb.ResolveConflictResponse(
            epic=await self._store.change(
                request, name, get_epic, resolve, agent=request.agent, actor=caller().name, now=self._now()
            )
        )

    async def DropEpic(self, request: pb.DropEpicRequest, context: Context) -> pb.DropEpicResponse:
        name = EpicName.parse(request.name)
        return pb.DropEpicResponse(
            epic=await self._store.change(request, name, get_epic, drop, actor=caller().name, now=self._now())
        )

    async def GetConflicts(
        self, request: pb.GetConflictsRequest, context: Context
    ) -> pb.GetConflictsResponse:
        return await self._store.read(get_conflicts, name=RunName.parse(request.name))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        return await self._store.read(lists.list_tasks, request=request)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> pb.RetryTaskResponse:
        name = TaskName.parse(request.name)
        if request.agent:
            await self._check_agent(request.agent, name)
        choice = runs_and_tasks.AgentChoice(request.agent, request.model)
        if request.resume and (any(choice) or request.from_here):
            other = "another agent or model" if any(choice) else "from_here"
            raise invalid_field(
                "resume", f"cannot be combined with {other}: a session is resumed by the agent that it is of"
            )
        actor, now = caller().name, self._now()
        if request.from_here:
            task = await self._store.change(request, name, get_task, retry_from_here, actor, choice, now)
        else:
            retry = runs_and_tasks.retry_task
            task = await self._store.change(
                request, name, get_task, retry, actor, choice, now, resume=request.resume
            )
        return pb.RetryTaskResponse(task=task)

    async def SkipTask(self, request: pb.SkipTaskRequest, context: Context) -> pb.SkipTaskResponse:
        name = TaskName.parse(request.name)
        return pb.SkipTaskResponse(
            task=await self._store.change(
                request, name, get_task, runs_and_tasks.skip_task, actor=caller().name, now=self._now()
            )
        )

    async def GetAttempt(self, request: pb.GetAttemptRequest, context: Context) -> pb.GetAttemptResponse:
        name = AttemptName.parse(request.name)
        return pb.GetAttemptResponse(attempt=await self._store.read(get_attempt, name=name))

    async def ListAttempts(
        self, request: pb.ListAttemptsRequest, context: Context
    ) -> pb.ListAttemptsResponse:
        return await self._store.read(lists.list_attempts, request=request)

    async def StopAttempt(self, request: pb.StopAttemptRequest, context: Context) -> pb.StopAttemptResponse:
        name = AttemptName.parse(request.name)
        await self._store.change(
            request, name, get_attempt, runs_and_tasks.stop, actor=caller().name, now=self._now()
        )
        ended = await self._store.wait(
            name,
            partial(get_attempt, name=name),
            lambda attempt: attempt.HasField("end_time"),
            stuck=lambda attempt: not self._workers.is_connected(attempt.worker),
        )
        return pb.StopAttemptResponse(attempt=ended)

    async def ListApprovals(
        self, request: pb.ListApprovalsRequest, context: Context
    ) -> pb.ListApprovalsResponse:
        return await self._store.read(lists.list_approvals, request=request, projects=caller().projects)

    async def ResolveApproval(
        self, request: pb.ResolveApprovalRequest, context: Context
    ) -> pb.ResolveApprovalResponse:
        await worker_relay.answer_approval(self._database, self._workers, request, caller().name, self._now())
        await self._store.record(request.attempt, request.request_id)
        return pb.ResolveApprovalResponse()

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        await worker_relay.send_message(self._database, self._workers, request, caller().name)
        await self._store.record(request.attempt, request.message_id)
        return pb.SendMessageResponse()

    # Events and sessions.

    async def ListEvents(self, request: pb.ListEventsRequest, context: Context) -> pb.ListEventsResponse:
        name = RunName.parse(request.parent)
        size = page_size(request.page_size, 200, 1000)
        run, events, oldest = await self._database.read(
            lambda connection: (
                (run := get_run(connection, name)),
                read_events(connection, name.run, request.after_sequence, size, _PAGE_BYTES),
                oldest_event(connection, name.run, run.sequence),
            )
        )
        check_sequence(request.after_sequence, run.sequence)
        check_kept(request.after_sequence, run.sequence, events, lambda: oldest)
        reached = events[-1].sequence if events else request.after_sequence
        return pb.ListEventsResponse(events=events, resume_sequence=reached, more=reached < run.sequence)

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        name = RunName.parse(request.name)
        async for answer in run_stream.watch_run(
            self._database, self._doorbell, name, request.after_sequence
        ):
            yield answer

    async def ListSessionEvents(
        self, request: pb.ListSessionEventsRequest, context: Context
    ) -> pb.ListSessionEventsResponse:
        return await self._store.read(list_session_events, request=request)

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: Context
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        name = AttemptName.parse(request.attempt)
        after = request.after_sequence
        async for answer in run_stream.watch_session(self._database, self._doorbell, name, after):
            yield answer

    # Data that the workers hold.

    async def ReadArtifact(
        self, request: pb.ReadArtifactRequest, context: Context
    ) -> AsyncIterator[pb.ReadArtifactResponse]:
        async for answer in worker_relay.read_artifact(self._database, self._workers, request):
            yield answer

    async def GetDiff(
        self, request: pb.GetDiffRequest, context: Context
    ) -> AsyncIterator[pb.GetDiffResponse]:
        async for answer in worker_relay.get_diff(self._database, self._workers, request):
            yield answer

    async def ListEpicWorktrees(
        self, request: pb.ListEpicWorktreesRequest, context: Context
    ) -> pb.ListEpicWorktreesResponse:
        return await list_worktrees(self._database.read, self._workers, self._retention, request)

    async def RestoreEpicWorktree(
        self, request: pb.RestoreEpicWorktreeRequest, context: Context
    ) -> pb.RestoreEpicWorktreeResponse:
        WorktreeName.parse(request.name)
        return pb.RestoreEpicWorktreeResponse.FromString(await self._store.ask_leader(request))

    async def RemoveEpicWorktree(
        self, request: pb.RemoveEpicWorktreeRequest, context: Context
    ) -> pb.RemoveEpicWorktreeResponse:
        WorktreeName.parse(request.name)
        return pb.RemoveEpicWorktreeResponse.FromString(await self._store.ask_leader(request))

    async def CollectGarbage(
        self, request: pb.CollectGarbageRequest, context: Context
    ) -> pb.CollectGarbageResponse:
        if request.validate_only:
            return await find_garbage(self._database.read, self._workers, self._retention, self._now())
        return pb.CollectGarbageResponse.FromString(await self._store.ask_leader(request))

    async def ListCosts(self, request: pb.ListCostsRequest, context: Context) -> pb.ListCostsResponse:
        return await self._store.read(
            list_costs, request=request, project_budget=self._project_budget, projects=caller().projects
        )

    async def ListDailyCosts(
        self, request: pb.ListDailyCostsRequest, context: Context
    ) -> pb.ListDailyCostsResponse:
        days = request.days or 30
        if not 1 <= days <= 366:
            raise invalid_field("days", "must be from 1 to 366")
        midnight = self._now() // _DAY * _DAY
        since = midnight - (days - 1) * _DAY
        projects = caller().projects
        found = await self._store.read(daily_costs, since=since, project=request.project, projects=projects)
        return pb.ListDailyCostsResponse(costs=found)

    async def ListHolds(self, request: pb.ListHoldsRequest, context: Context) -> pb.ListHoldsResponse:
        return await self._store.read(list_holds, now=self._now(), projects=caller().projects)

    async def LiftHold(self, request: pb.LiftHoldRequest, context: Context) -> pb.LiftHoldResponse:
        call = current_call()

        def lift(connection: Any) -> list[RunName]:
            resumed: list[RunName] = []

            def work(connection: Any) -> str:
                resumed.extend(lift_hold(connection, request.provider, call.principal.name, self._now()))
                return request.provider

            requests.once(connection, request, work, call, self._now())
            return resumed

        held = await self._store.read(list_holds, now=self._now())
        waiting = {run for each in held.holds if each.provider == request.provider for run in each.runs}
        resumed = await self._database.submit(lift, LOOP, *waiting)
        return pb.LiftHoldResponse(resumed_runs=map(str, resumed))

    # Help.

    async def _check_agent(self, agent: str, name: TaskName | EpicName) -> None:
        """Raises unless the run's worker can start the agent and a budget that applies can stop the agent."""
        await check_agent(self._database, self._workers, name, agent, self._project_budget)
