"""Runs each background activity of a leader in its own asyncio task, so that none blocks another."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias, TypeVar

import structlog
from google.protobuf.message import Message

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName, RunName, WorktreeName
from scheduler_svc.commands.runs.create_run import StartRun
from scheduler_svc.commands.workers import garbage, worktree_list
from scheduler_svc.leader import cleanup, housekeeping, orphaned_worktrees, remote_refs, scheduled_runs
from scheduler_svc.leader.attempts import attempt_driver, orphaned_sessions, session_stop
from scheduler_svc.leader.context.term import Term
from scheduler_svc.leader.epic_places import EpicPlaces
from scheduler_svc.leader.merges import merge_queue
from scheduler_svc.leader.merges.base_look import BaseLooks
from scheduler_svc.leader.merges.conflict_forecast import ConflictForecasts
from scheduler_svc.policy.actions import FinishRun
from scheduler_svc.policy.snapshot import Snapshot
from scheduler_svc.store.queries import worktrees
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.records import open_runs
from scheduler_svc.store.rows.callers import leader_requests
from scheduler_svc.store.rows.callers.leader_requests import LeaderRequest
from scheduler_svc.store.rows.retention import log_retention
from scheduler_svc.store.rows.retention.remote_refs import old_runs

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds before a task that ended with an unexpected error may start again.
_PAUSE: Final = 1.0

T = TypeVar("T")

_Key: TypeAlias = tuple[str, str]


class BackgroundTasks:
    """Runs attempt drivers, stops, forecasts, merges and run ends in one leader's term, each at most once."""

    def __init__(self, term: Term, start_run: StartRun, places: EpicPlaces | None = None) -> None:
        self._term = term
        self._start_run = start_run
        # None: no pool makes places.
        self.places = places
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        # Set when a worker or the database reports a newer leader.
        self.deposed = asyncio.Event()
        self._forecasts = ConflictForecasts(term)
        self._bases = BaseLooks(term)

    def resume(self, snapshot: Snapshot) -> None:
        """Starts the missing tasks for work that is in progress in the snapshot, as after a restart."""
        for run in snapshot.runs:
            if run.merging_into:
                self.merge_run(run.name)
            for epic in run.epics:
                if epic.merging:
                    self.merge_epics(run.name)
                for task in epic.sessions:
                    if task.live_attempt:
                        self.drive(task.live_attempt)
                    if task.live_attempt and task.stopping:
                        self.stop(task.live_attempt)

    def drive(self, attempt: AttemptName, started: Assignment | None = None) -> None:
        async def begin() -> None:
            if started and started.left and self._term.workers.is_connected(started.left):
                self.remove_orphans(started.left)
            if started:
                # A session of an attempt that was lost there must not write where this one works.
                await self._settled("orphans", started.worker)
            # A worktree must not be removed while a reopened run starts to use it again.
            waited = [await self._settled(kind, attempt.parent.parent.parent) for kind in ("finish", "clean")]
            # After such a wait the worktree may be gone, but the assignment still names it.
            assignment = None if any(waited) else started
            await attempt_driver.AttemptDriver(self._term, attempt).drive(assignment)
            self._begin("forecast", attempt, lambda: self._forecasts.look(attempt))

        self._begin("drive", attempt, begin)

    def keep_places(self) -> None:
        """Has the pool make the places that epics need, and remove the others."""
        if self.places:
            self._begin("places", "", self.places.keep_up)

    def ask_place(self, epic: EpicName) -> None:
        """Asks the pool for a place."""
        if self.places:
            self.places.ask(epic)
            self.keep_places()

    def stop(self, attempt: AttemptName) -> None:
        self._begin("stop", attempt, lambda: session_stop.stop(self._term, attempt))

    def park(self, attempt: AttemptName) -> None:
        self._begin("park", attempt, lambda: session_stop.park_session(self._term, attempt))

    def merge_epics(self, run: RunName) -> None:
        self._begin("merge_epics", run, lambda: merge_queue.merge_epics(self._term, run))

    def merge_run(self, run: RunName) -> None:
        self._begin("merge_run", run, lambda: merge_queue.merge_run(self._term, run))

    def finish_run(self, action: FinishRun) -> None:
        self._begin("finish", action.run, lambda: cleanup.finish_run(self._term, action))

    def clean(self, run: RunName) -> None:
        self._begin("clean", run, lambda: cleanup.clean(self._term, run))

    def keep_house(self) -> None:
        """Removes worktrees and logs whose retention has expired, worktrees first."""

        async def begin() -> None:
            left = partial(worktrees.left_behind, retention=self._term.retention, now=self._term.now())
            for run in await self._term.read(left):
                self.clean(run)
            for worker in self._term.workers.views():
                if worker.connected:
                    self.remove_orphans(worker.name)
            self.remove_old_refs()
            for problem in (await self._expire(at_once=False))[1]:
                log.warning("logs_not_removed", problem=problem)
            await housekeeping.forget_old(self._term, at_once=False)

        self._begin("keep_house", "", begin)

    def remove_old_refs(self) -> None:
        """Removes refs of ended runs from the remotes of their projects. What fails is tried again in an hour."""

        async def begin() -> None:
            term = self._term
            unavailable: set[str] = set()
            for run in await term.read(partial(old_runs, before=term.now() - term.retention.worktrees)):
                if run.project not in unavailable:
                    problem = await self._alone(run.name, partial(remote_refs.remove, term, run))
                    unavailable |= {run.project} if problem else set()

        self._begin("remote_refs", "", begin)

    def stop_orphans(self, worker: str) -> None:
        """Stops sessions on a worker that is back although their attempts have ended, and removes worktrees of epics that left."""

        async def begin() -> None:
            await orphaned_sessions.stop_orphans(self._term, worker)
            self.remove_orphans(worker)

        self._begin("orphans", worker, begin)

    def remove_orphans(self, worker: str) -> None:
        """Removes worktrees of epics that have moved to another worker."""
        self._begin(
            "orphaned_worktrees", worker, lambda: orphaned_worktrees.remove_orphans(self._term, worker)
        )

    def start_schedules(self) -> None:
        """Starts the runs of schedules that are due."""
        self._begin("schedules", "", lambda: scheduled_runs.start_due(self._term, self._start_run))

    def look_at_bases(self) -> None:
        """Finds out how far the epics of open runs are behind the project's branch."""

        async def begin() -> None:
            runs = await self._term.read(open_runs)
            self._bases.forget_all_but(runs)
            for run in runs:
                self._begin("base", run, partial(self._bases.look, RunName(run)))

        self._begin("bases", "", begin)

    def answer_request(self, asked: LeaderRequest) -> None:
        """Executes a replica's request and stores the result for the replica that waits for it."""

        async def begin() -> None:
            ended: Message | HeddleError
            try:
                ended = await self._answer(asked)
            except HeddleError as error:
                if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                    raise
                ended = error
            end = partial(leader_requests.end_request, request_id=asked.id, ended=ended, now=self._term.now())
            await self._term.write("end_request", end, leader_requests.topic(asked.id))

        self._begin("request", asked.id, begin)

    async def _answer(self, asked: LeaderRequest) -> Message:
        if asked.method == pb.CollectGarbageRequest.DESCRIPTOR.name:
            return await self._collect()
        # Both have the same field for the name.
        request = pb.RestoreEpicWorktreeRequest.FromString(asked.request)
        name = WorktreeName.parse(request.name)
        if asked.method == pb.RemoveEpicWorktreeRequest.DESCRIPTOR.name:
            return await self._alone(name.parent.parent, partial(cleanup.remove, self._term, name))
        restore = partial(housekeeping.restore, self._term, name, asked.actor, asked.asked)
        return await self._alone(name.parent.parent, restore)

    async def _collect(self) -> pb.CollectGarbageResponse:
        term = self._term
        found = await garbage.find_garbage(term.read, term.workers, term.retention, term.now())
        done = pb.CollectGarbageResponse()
        for run in dict.fromkeys(epic.parent for epic in worktree_list.epics_of(found.worktrees)):
            done.problems.extend(await self._alone(run, partial(cleanup.clean, term, run)))
        left = await term.read(
            partial(worktrees.read_archives, names=worktree_list.epics_of(found.worktrees))
        )
        for worktree, (path, archived) in zip(found.worktrees, left, strict=True):
            if not path:
                worktree.archive_commit = archived
                done.worktrees.append(worktree)
        removed, problems = await self._expire(at_once=True)
        await housekeeping.forget_old(self._term, at_once=True)
        # Not awaited: a remote may not answer for minutes.
        self.remove_old_refs()
        done.logs.extend(logs for logs in found.logs if logs.run in removed)
        done.problems.extend(problems)
        return done

    async def _expire(self, *, at_once: bool) -> tuple[set[str], list[str]]:
        """Removes expired logs; returns the runs whose logs were removed, and the problems with others."""
        before = self._term.now() - self._term.retention.logs
        removed, problems = set(), []
        for run in await self._term.read(partial(log_retention.expired, before=before)):
            try:
                await housekeeping.expire_logs(self._term, run, at_once=at_once)
                removed.add(str(run))
            except HeddleError as error:
                if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                    raise
                problems.append(f"{run}: {error.message}")
        return removed, problems

    async def _alone(self, run: RunName, work: Callable[[], Awaitable[T]]) -> T:
        """Runs `work` on an ended run's worktrees while no other task uses them and no attempt starts there."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def begin() -> None:
            try:
                done.set_result(await work())
            except Exception as error:  # noqa: BLE001 (the awaiting caller raises it)
                done.set_exception(error)

        while await self._settled("clean", run):
            pass
        self._begin("clean", run, begin)
        return await done

    async def dismiss(self) -> None:
        """Cancels all tasks. Their work continues on the workers, and the next leader resumes it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settled(self, kind: str, name: object) -> bool:
        """Waits for a task to end; returns False if there is none."""
        task = self._tasks.get((kind, str(name)))
        if task is not None:
            await asyncio.wait([task])
        return task is not None

    def _begin(self, kind: str, name: object, work: Callable[[], Awaitable[object]]) -> None:
        key = (kind, str(name))
        if key not in self._tasks:
            task = asyncio.create_task(self._guarded(key, work))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key))

    async def _guarded(self, key: _Key, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except HeddleError as error:
            if error.reason == pb.ERROR_REASON_STALE_EPOCH and self._term.workers.refused(error):
                self.deposed.set()
                return
            log.warning("will_try_again", task=key[0], name=key[1], error=error.message)
            await asyncio.sleep(_PAUSE)
        except Exception:
            log.exception("will_try_again", task=key[0], name=key[1])
            await asyncio.sleep(_PAUSE)
