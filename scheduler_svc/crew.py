"""One asyncio task for each thing that a leader has under way, so that none stops another."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, RunName
from scheduler_svc import cleaning, conductor, merging
from scheduler_svc.leading import Lead
from scheduler_svc.radar import Radar
from scheduler_svc.snapshot import FinishRun, Snapshot
from scheduler_svc.store.assignments import Assignment

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds before something that failed beyond its own means may be begun again.
_PAUSE: Final = 1.0

_Key: TypeAlias = tuple[str, str]


class Crew:
    """Conductors, stops, looks ahead, merges and ends of one leader's term, each at most once at a time."""

    def __init__(self, lead: Lead) -> None:
        self._lead = lead
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        # Set when a worker or the database knows a newer leader.
        self.deposed = asyncio.Event()
        self._radar = Radar(lead)

    def man(self, snapshot: Snapshot) -> None:
        """Begins whatever the snapshot says is under way and nobody here does: also after a restart."""
        for run in snapshot.runs:
            if run.merging_into:
                self.merge_run(run.name)
            for epic in run.epics:
                if epic.merging:
                    self.merge_epics(run.name)
                for task in epic.tasks:
                    if task.live_attempt:
                        self.conduct(task.live_attempt)
                    if task.live_attempt and task.stopping:
                        self.stop(task.live_attempt)

    def conduct(self, attempt: AttemptName, started: Assignment | None = None) -> None:
        async def begin() -> None:
            # A worktree must not go while a reopened run comes back to it.
            waited = [await self._settled(kind, attempt.parent.parent.parent) for kind in ("finish", "clean")]
            # The wait was for an end of its worktree, which the assignment still names.
            assignment = None if any(waited) else started
            await conductor.Conductor(self._lead, attempt).conduct(assignment)
            self._begin("radar", attempt, lambda: self._radar.look(attempt))

        self._begin("conduct", attempt, begin)

    def stop(self, attempt: AttemptName) -> None:
        self._begin("stop", attempt, lambda: conductor.stop(self._lead, attempt))

    def park(self, attempt: AttemptName) -> None:
        self._begin("park", attempt, lambda: conductor.park_session(self._lead, attempt))

    def merge_epics(self, run: RunName) -> None:
        self._begin("merge_epics", run, lambda: merging.merge_epics(self._lead, run))

    def merge_run(self, run: RunName) -> None:
        self._begin("merge_run", run, lambda: merging.merge_run(self._lead, run))

    def finish_run(self, action: FinishRun) -> None:
        self._begin("finish", action.run, lambda: cleaning.finish_run(self._lead, action))

    def clean(self, run: RunName) -> None:
        self._begin("clean", run, lambda: cleaning.clean(self._lead, run))

    async def dismiss(self) -> None:
        """Ends all tasks. What they had under way goes on at the workers; the next leader takes it up."""
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

    def _begin(self, kind: str, name: object, work: Callable[[], Awaitable[None]]) -> None:
        key = (kind, str(name))
        if key not in self._tasks:
            task = asyncio.create_task(self._guarded(key, work))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key))

    async def _guarded(self, key: _Key, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except HeddleError as error:
            if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                self.deposed.set()
                return
            log.warning("will_try_again", task=key[0], name=key[1], error=error.message)
            await asyncio.sleep(_PAUSE)
        except Exception:
            log.exception("will_try_again", task=key[0], name=key[1])
            await asyncio.sleep(_PAUSE)
