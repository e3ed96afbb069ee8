"""Says which epics will conflict, hours before they are merged: after each accepted task, and once for each pair."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import sqlalchemy as sa
import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName
from scheduler_svc.leading import Lead
from scheduler_svc.states import ENDED_EPIC
from scheduler_svc.store.events import append, event
from scheduler_svc.store.resources import is_attempt
from scheduler_svc.store.tables import attempts, epics, run_events, runs
from scheduler_svc.workers import call

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 60.0

# The keys of two epics, one empty for what has been merged, and the files.
_Conflict: TypeAlias = tuple[frozenset[str], tuple[str, ...]]


@dataclass(frozen=True)
class _Scene:
    """The epics of a run that could still conflict, by branch, and where to ask."""

    worker: str
    project: str
    base: str
    epics: Mapping[str, EpicName]


class Radar:
    """Looks for conflicts in one leader's term."""

    def __init__(self, lead: Lead) -> None:
        self._lead = lead
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # By run: what has been said, also by earlier leaders.
        self._said: dict[str, set[_Conflict]] = {}

    async def look(self, attempt: AttemptName) -> None:
        """Writes what an attempt's accepted work will conflict with. Trouble only logs: the next task looks again."""
        async with self._looking[attempt.run]:
            scene = await self._lead.read(partial(_scene, attempt=attempt))
            if scene is None:
                return
            request = pb.PredictConflictsRequest(project=scene.project, branches=scene.epics, base=scene.base)
            try:
                worker = self._lead.workers.get(scene.worker)
                found = await call(worker.name, worker.worktree.PredictConflicts, request, _TIMEOUT)
            except HeddleError as error:
                log.warning("conflicts_not_predicted", attempt=str(attempt), error=error.message)
                return
            await self._say(attempt, scene, found.pairs)

    async def _say(self, attempt: AttemptName, scene: _Scene, pairs: Iterable[pb.ConflictingPair]) -> None:
        if attempt.run not in self._said:
            self._said[attempt.run] = await self._lead.read(partial(_said_before, run=attempt.run))
        said = self._said[attempt.run]
        events = []
        for pair in pairs:
            one, other = scene.epics[pair.branch], scene.epics.get(pair.with_branch)
            conflict = _key(one.epic, other.epic if other else "", pair.files)
            if conflict not in said:
                said.add(conflict)
                events.append(_predicted(attempt, one, other, pair.files))
        if events:
            write = partial(_append, run=attempt.run, events=events, now=self._lead.now())
            await self._lead.write(write, f"runs/{attempt.run}")


def _predicted(attempt: AttemptName, one: EpicName, other: EpicName | None, files: Iterable[str]) -> pb.Event:
    """Returns the event, about the task that was accepted if its epic is one of the two."""
    if other and other.epic == attempt.epic:
        one, other = other, one
    about = attempt if one.epic == attempt.epic else one
    predicted = pb.ConflictPredicted(with_epic=other.epic if other else "", files=files)
    return event(about, "scheduler", conflict_predicted=predicted)


def _key(one: str, other: str, files: Iterable[str]) -> _Conflict:
    return frozenset({one, other}), tuple(files)


def _scene(connection: sa.Connection, attempt: AttemptName) -> _Scene | None:
    """Returns what to look at; None unless the attempt was accepted and its run goes on."""
    run = connection.execute(
        sa.select(runs.c.worker, runs.c.project, runs.c.base_commit, runs.c.head_commit)
        .join(attempts, attempts.c.run == runs.c.run)
        .where(
            *is_attempt(attempt),
            attempts.c.state == pb.ATTEMPT_STATE_ACCEPTED,
            runs.c.ended_at.is_(None),
        )
    ).one_or_none()
    if run is None:
        return None
    active = connection.execute(
        sa.select(epics.c.epic)
        .where(epics.c.run == attempt.run, epics.c.state.not_in(ENDED_EPIC), epics.c.head_commit != "")
        .order_by(epics.c.place)
    ).scalars()
    names = [EpicName(attempt.run, key) for key in active]
    base = run.head_commit or run.base_commit
    return _Scene(run.worker, run.project, base, {name.branch: name for name in names})


def _said_before(connection: sa.Connection, run: str) -> set[_Conflict]:
    said = set()
    for data in connection.execute(sa.select(run_events.c.event).where(run_events.c.run == run)).scalars():
        each = pb.Event.FromString(data)
        if each.HasField("conflict_predicted"):
            predicted = each.conflict_predicted
            said.add(_key(each.epic, predicted.with_epic, predicted.files))
    return said


def _append(connection: sa.Connection, run: str, events: list[pb.Event], now: int) -> None:
    """Adds the events, unless the run has ended meanwhile: its end is its last event."""
    going_on = sa.select(runs.c.run).where(runs.c.run == run, runs.c.ended_at.is_(None))
    if connection.execute(going_on).one_or_none():
        append(connection, events, now)
