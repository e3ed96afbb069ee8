"""The places that the pool makes for epics: asks for them, reports why they are not there, and releases them."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

import structlog
from prometheus_client import Histogram

from heddle import pb
from heddle.names import EpicName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.lifecycle.states import ENDED_EPIC
from scheduler_svc.policy.snapshot import EpicView, PodsView, RunView, Snapshot
from scheduler_svc.pools.pool import Answer, Gone, PlaceKey, PlaceSpec, Pool, Waiting
from scheduler_svc.store.queries.task_specs import agent_kinds
from scheduler_svc.store.rows import epics

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_ASKED: Final = "the place has been asked for"

# Seconds before another reason is shown for an epic that waits, and before the same one with other numbers, such as
# of a cluster with many nodes or a pause that grows. Each change is an event of the run.
_OTHER_AFTER: Final = 5.0
_NUMBERS_AFTER: Final = 60.0

_NUMBER: Final = re.compile(r"\d+(\.\d+)?")

_PLACE: Final = Histogram(
    "heddle_place_seconds",
    "Time from when an epic could run and asked for a place until its task was started there.",
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
)


class PlaceWait(NamedTuple):
    """Why a place is not there yet, and since when that is shown, in seconds of any clock."""

    reason: str
    since: float

    def shown(self, reason: str, now: float) -> "PlaceWait":
        """Returns what is shown once the pool gives a reason: a change that comes too soon is left for a later call."""
        if reason == self.reason:
            return self
        same_kind = _NUMBER.sub("", reason) == _NUMBER.sub("", self.reason)
        pause = _NUMBERS_AFTER if same_kind else _OTHER_AFTER
        is_first = self.reason == _ASKED
        return PlaceWait(reason, now) if is_first or now - self.since >= pause else self


class EpicPlaces:
    """The places of one leader's term. `on_change` is called when the next decision may differ."""

    def __init__(self, term: Term, pool: Pool, keep: float, on_change: Callable[[], None]) -> None:
        """`keep` is for how many seconds the place of an epic stays after it has ended."""
        self._term = term
        self._pool = pool
        self._keep = keep
        self._on_change = on_change
        # The epics that have asked for a place, and why it is not there yet.
        self._waits: dict[EpicName, PlaceWait] = {}
        self._failures: dict[EpicName, str] = {}
        # When it asked.
        self._asked: dict[EpicName, float] = {}
        # What the last snapshot shows of each epic with a place, or that needs one.
        self._epics: dict[EpicName, EpicView] = {}
        # What the epics that wait need.
        self._specs: dict[PlaceKey, PlaceSpec] = {}

    def view(self) -> PodsView:
        """Returns the input of the next decision. A failure is reported once: it ends the task that waited."""
        failures, self._failures = self._failures, {}
        return PodsView({name: wait.reason for name, wait in self._waits.items()}, failures)

    def ask(self, epic: EpicName) -> None:
        """Asks for the next place of an epic, until it starts there or cannot continue."""
        now = time.monotonic()
        self._waits.setdefault(epic, PlaceWait(_ASKED, now))
        self._asked.setdefault(epic, now)

    def observe(self, snapshot: Snapshot) -> None:
        """Takes note of the epics; one that no longer waits for a place has it, or has ended."""
        self._epics = {epic.name: epic for run in snapshot.runs if run.placed for epic in run.epics}
        going_on = {epic.name for run in snapshot.runs if _goes_on(run) for epic in run.epics if _waits(epic)}
        for name in [each for each in self._waits if each not in going_on]:
            del self._waits[name]
            asked = self._asked.pop(name, 0.0)
            if name in self._epics and self._epics[name].busy:
                _PLACE.observe(time.monotonic() - asked)
        # A task may have been added since.
        self._specs = {
            key: spec for key, spec in self._specs.items() if EpicName(key.run, key.epic) in going_on
        }

    async def keep_up(self) -> None:
        """Asks the pool for every place that is needed, and releases all others. Idempotent."""
        changed = await asyncio.gather(*[self._check(name) for name in list(self._waits)])
        placed = [(name, key) for name, key in self._placed() if name not in self._waits]
        changed += await asyncio.gather(*[self._check_placed(name, key) for name, key in placed])
        asked = {self._next(name) for name in self._waits if name in self._epics}
        await self._pool.release_others(asked | {key for _, key in placed}, self._keep)
        if any(changed):
            self._on_change()

    def _placed(self) -> Iterator[tuple[EpicName, PlaceKey]]:
        """Yields the places of the pool where epics are that have not ended."""
        for name, epic in self._epics.items():
            if epic.worker and epic.state not in ENDED_EPIC:
                key = self._pool.key_of(epic.worker, name.run, name.epic)
                if key:
                    yield name, key

    def _next(self, name: EpicName) -> PlaceKey:
        return PlaceKey(name.run, name.epic, self._epics[name].generation + 1)

    async def _check(self, name: EpicName) -> bool:
        """Asks for the place of an epic that waits; returns whether that changes the next decision."""
        if name not in self._epics:
            return False
        key = self._next(name)
        answer = await self._pool.ensure(await self._spec(key))
        if isinstance(answer, Gone):
            await self._give_up(name, key, answer)
            return True
        now = time.monotonic()
        before = self._waits.get(name, PlaceWait(_ASKED, now))
        wait = before.shown(answer.reason, now) if isinstance(answer, Waiting) else PlaceWait(_ASKED, now)
        self._waits[name] = wait
        return before.reason != wait.reason

    async def _give_up(self, name: EpicName, key: PlaceKey, gone: Gone) -> None:
        """Has the next try use another generation; nothing was done in this one."""
        log.warning("place_not_made", epic=str(name), reason=gone.reason, failed=gone.failed)
        await self._pool.release(key)
        await self._term.write("skip_place", partial(epics.skip_place, name=name, generation=key.generation))
        self._waits.pop(name, None)
        if gone.failed:
            self._asked.pop(name, None)
            self._failures[name] = gone.reason

    async def _check_placed(self, name: EpicName, key: PlaceKey) -> bool:
        """Looks at the place where an epic is; returns whether it is newly known to be lost."""
        answer: Answer = await self._pool.ensure(PlaceSpec(key, placed=True))
        worker = self._epics[name].worker if name in self._epics else ""
        if not isinstance(answer, Gone) or not worker or self._term.workers.is_lost(worker):
            return False
        log.warning("place_lost", epic=str(name), worker=worker, reason=answer.reason)
        self._term.workers.lose(worker)
        return True

    async def _spec(self, key: PlaceKey) -> PlaceSpec:
        name = EpicName(key.run, key.epic)
        labels, resources = dict(self._epics[name].labels), dict(self._epics[name].resources)
        known = self._specs.get(key)
        if known is None or (known.labels, known.resources) != (labels, resources):
            agents = await self._term.read(partial(agent_kinds, name=name))
            known = self._specs[key] = PlaceSpec(key, labels, resources, agents)
        return known


def _goes_on(run: RunView) -> bool:
    return run.state in {pb.RUN_STATE_PENDING, pb.RUN_STATE_RUNNING}


def _waits(epic: EpicView) -> bool:
    return epic.state not in ENDED_EPIC and not epic.busy
