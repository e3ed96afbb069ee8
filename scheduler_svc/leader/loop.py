"""Observe, decide, act: the leader's loop."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import RunName
from heddle.timing.clock import Clock
from scheduler_svc.commands.decisions.apply_action import act_on
from scheduler_svc.commands.runs.create_run import StartRun
from scheduler_svc.leader.background_tasks import BackgroundTasks
from scheduler_svc.leader.context import metrics
from scheduler_svc.leader.context.term import Term
from scheduler_svc.leader.epic_places import EpicPlaces
from scheduler_svc.policy.actions import Action, FinishRun, FollowUp, StartTask, Wakes
from scheduler_svc.policy.snapshot import Snapshot, WorkerView
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP, Doorbell
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.leadership import NEWEST_EPOCH, Leadership
from scheduler_svc.store.db.pipeline import fetch
from scheduler_svc.store.outcomes.attempt_outcomes import ShouldRetry
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.records import open_runs
from scheduler_svc.store.queries.snapshot_query import STATEMENTS, snapshot_of
from scheduler_svc.store.rows.callers.leader_requests import OPEN_REQUESTS, LeaderRequest
from scheduler_svc.store.rows.retention.run_retention import Retention

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Decide = Callable[[Snapshot], list[Action]]

# Seconds after which the loop runs even if the doorbell did not ring.
_SAFETY_TICK: Final = 1.0

# Seconds between removals of expired worktrees and logs.
_KEEP_HOUSE: Final = 3600.0


class Loop:
    """The scheduling loop, which is active while this replica leads."""

    def __init__(
        self,
        database: Database,
        doorbell: Doorbell,
        workers: Workers,
        *,
        decide: Decide,
        should_retry: ShouldRetry,
        clock: Clock,
        project_budget: int | None,
        park_after: int,
        base_look_every: float,
        retention: Retention,
        start_run: StartRun,
        keep_places: float = 0,
    ) -> None:
        """`keep_places` is for how many seconds the place that a pool made for an epic stays after its end."""
        self._database = database
        self._observe = partial(_observe, project_budget=project_budget, park_after=park_after)
        self._doorbell = doorbell
        self._leadership = Leadership(database)
        self._workers = workers
        self._decide = decide
        self._should_retry = should_retry
        self._clock = clock
        self._retention = retention
        self._base_look_every = base_look_every
        self._start_run = start_run
        self._keep_places = keep_places
        self._changed_workers: dict[str, pb.Worker] = {}
        self._gauges = metrics.SnapshotGauges()
        workers.on_change = self._worker_changed

    async def run(self) -> None:
        """Leads whenever possible, until cancelled."""
        while True:
            epoch = await self._leadership.acquire(lambda: self._workers.highest_epoch)
            term = Term(
                epoch,
                self._database,
                self._workers,
                clock=self._clock,
                should_retry=self._should_retry,
                retention=self._retention,
            )
            background = BackgroundTasks(term, self._start_run, self._places(term))
            self._workers.lead(epoch)
            metrics.lead(epoch)
            holding = asyncio.create_task(self._hold(background))
            try:
                await self._serve(term, background)
                log.warning("deposed", epoch=epoch)
            except Exception:
                log.exception("leading_failed", epoch=epoch)
            finally:
                holding.cancel()
                self._workers.lead(0)
                metrics.lead(0)
                await background.dismiss()
                await self._leadership.release()
            await asyncio.sleep(_SAFETY_TICK)

    def _places(self, term: Term) -> EpicPlaces | None:
        pool = self._workers.pool
        if pool is None:
            return None
        return EpicPlaces(term, pool, self._keep_places, lambda: self._doorbell.ring([LOOP]))

    async def _hold(self, background: BackgroundTasks) -> None:
        """Ends the term once the lock is lost."""
        await self._leadership.lost()
        background.deposed.set()
        self._doorbell.ring([LOOP])

    async def _serve(self, term: Term, background: BackgroundTasks) -> None:
        """Schedules until a newer leader exists, then returns."""
        keep_house_at = schedules_at = bases_at = 0.0
        with self._doorbell.listen(LOOP) as bell:
            while not background.deposed.is_set():
                if time.monotonic() >= keep_house_at:
                    keep_house_at = time.monotonic() + _KEEP_HOUSE
                    background.keep_house()
                if time.monotonic() >= schedules_at:
                    schedules_at = time.monotonic() + _SAFETY_TICK
                    background.start_schedules()
                if self._base_look_every and time.monotonic() >= bases_at:
                    bases_at = time.monotonic() + self._base_look_every
                    background.look_at_bases()
                try:
                    with metrics.TICK_SECONDS.time():
                        await self._tick(term, background)
                except HeddleError as error:
                    if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                        self._workers.refused(error)
                        return
                    log.warning("tick_failed", error=error.message)
                    await asyncio.sleep(_SAFETY_TICK)
                except Exception:
                    log.exception("tick_failed")
                    await asyncio.sleep(_SAFETY_TICK)
                await bell.wait(_SAFETY_TICK)

    async def _tick(self, term: Term, background: BackgroundTasks) -> None:
        await self._report_workers(term, background)
        workers = self._workers.views()
        epoch, asked, snapshot = await self._database.read(
            partial(self._observe, workers=workers, now=term.now(), is_lost=self._workers.has_let_go)
        )
        # A worker that has seen a higher epoch refuses this leader, even if no newer leader exists.
        if epoch != term.epoch or self._workers.highest_epoch > term.epoch:
            background.deposed.set()
            return
        if background.places:
            background.places.observe(snapshot)
            snapshot = replace(snapshot, pods=background.places.view())
            background.keep_places()
        self._gauges.show(snapshot, term.now())
        background.resume(snapshot)
        for request in asked:
            background.answer_request(request)
        actions = self._decide(snapshot)
        for end in actions:
            if isinstance(end, FinishRun):
                # It is written after the run's worktrees are removed.
                background.finish_run(end)
        rest = [action for action in actions if not isinstance(action, FinishRun)]
        if not rest:
            return
        begin = _follow_ups(background)
        for action, assignment in await self._act(term, rest):
            _count_place(snapshot, action)
            begin[action.follow_up](action, assignment)

    async def _act(self, term: Term, actions: Sequence[Action]) -> list[tuple[Action, Assignment | None]]:
        """Writes the actions in one transaction; returns those that applied, each start with its assignment."""
        try:
            return await term.write(
                "act_on", partial(act_on, actions=actions, now=term.now()), *_topics(actions)
            )
        except HeddleError:
            raise
        except Exception:
            # One action fails because of a defect, which must not block the others.
            log.exception("actions_failed", actions=len(actions))
        held: list[tuple[Action, Assignment | None]] = []
        for action in actions:
            try:
                alone = partial(act_on, actions=[action], now=term.now())
                held += await term.write("act_on", alone, *_topics([action]))
            except HeddleError:
                raise
            except Exception:
                log.exception("action_failed", action=repr(action))
        return held

    def _worker_changed(self, worker: pb.Worker) -> None:
        self._changed_workers[worker.name] = worker
        self._doorbell.ring([LOOP])

    async def _report_workers(self, term: Term, background: BackgroundTasks) -> None:
        """Logs in each open run which workers were lost, are full, or accept work again."""
        while self._changed_workers:
            name, worker = self._changed_workers.popitem()
            name = name.removeprefix("workers/")
            if worker.connected:
                background.stop_orphans(name)
            if self._workers.is_made(name):
                # Its epic's events tell where it is.
                continue
            if worker.connected and worker.full:
                change = pb.Event(worker_full=pb.WorkerFull(worker=name, reason=worker.full))
            elif worker.connected:
                change = pb.Event(worker_joined=pb.WorkerJoined(worker=name, slots=worker.slots))
            else:
                change = pb.Event(worker_lost=pb.WorkerLost(worker=name, reason=worker.reason))
            for run in await term.read(open_runs):
                report = event(RunName(run), "scheduler")
                report.MergeFrom(change)
                await term.write("append", partial(append, events=[report], now=term.now()), f"runs/{run}")


def _observe(
    connection: Connection, workers: Sequence[WorkerView], **limits: Any
) -> tuple[int, list[LeaderRequest], Snapshot]:
    """Returns the newest epoch, the open requests to the leader, and the snapshot; mostly in one round trip."""
    ((newest,),), asked, *found = fetch(connection, [(NEWEST_EPOCH, {}), (OPEN_REQUESTS, {}), *STATEMENTS])
    requests = [LeaderRequest(*row) for row in asked]
    return newest, requests, snapshot_of(connection, found, workers, **limits)


def _follow_ups(background: BackgroundTasks) -> Mapping[FollowUp, Callable[[Any, Assignment | None], None]]:
    """Returns the function that starts each follow-up, for an action of a kind that declares it."""
    return {
        FollowUp.NONE: lambda _action, _assignment: None,
        FollowUp.DRIVE_ATTEMPT: lambda action, assignment: background.drive(action.attempt, assignment),
        FollowUp.STOP_ATTEMPT: lambda action, _: background.stop(action.attempt),
        FollowUp.PARK_ATTEMPT: lambda action, _: background.park(action.attempt),
        FollowUp.ASK_PLACE: lambda action, _: background.ask_place(action.epic),
        FollowUp.MERGE_EPICS: lambda action, _: background.merge_epics(action.epic.parent),
        FollowUp.MERGE_RUN: lambda action, _: background.merge_run(action.run),
    }


def _count_place(snapshot: Snapshot, action: Action) -> None:
    if not isinstance(action, StartTask) or not action.worker:
        return
    name = action.attempt.parent.parent
    run = next(each for each in snapshot.runs if each.name == name.parent)
    before = next(each.worker for each in run.epics if each.name == name)
    if before != action.worker:
        metrics.place_taken(moved=bool(before))


def _topics(actions: Sequence[Action]) -> set[str]:
    """Returns the names of the runs that actions change, and LOOP if more can be decided immediately."""
    topics = {str(action.run_name) for action in actions if action.wakes is not Wakes.NO_ONE}
    return topics | {LOOP for action in actions if action.wakes is Wakes.LEADER}
