"""Forecasts after each accepted task which epics will conflict, hours before they are merged."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.leader.merges.forecast_changes import EpicInPlay, forecast
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.pools.workers import call
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append
from scheduler_svc.store.db.pipeline import fetch
from scheduler_svc.store.db.statements import of
from scheduler_svc.store.queries.records import ACCEPTED_RUN, EPICS_IN_PLAY, is_open
from scheduler_svc.store.rows.forecasts import FORECAST, forecast_of, write_forecast

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 60.0


@dataclass(frozen=True)
class _Scene:
    """Input of a forecast: the epics of a run that could still conflict, by branch, and the worker to ask."""

    worker: str
    project: str
    base: str
    upstream: str
    in_play: Mapping[str, EpicInPlay]
    # Branches that other workers move.
    elsewhere: Sequence[pb.KnownBranch]
    before: pb.ConflictForecast

    def request(self) -> pb.PredictConflictsRequest:
        return pb.PredictConflictsRequest(
            project=self.project,
            branches=self.in_play,
            base=self.base,
            starts={branch: epic.start for branch, epic in self.in_play.items() if epic.start},
            upstream=self.upstream,
            known_branches=self.elsewhere,
        )


class ConflictForecasts:
    """Forecasts conflicts during one leader's term."""

    def __init__(self, term: Term) -> None:
        self._term = term
        # By run. Only forecasts that wait or run keep a lock.
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def look(self, attempt: AttemptName) -> None:
        """Stores a forecast for an attempt's accepted work. Only logs an error: the next task tries again."""
        async with self._looking.setdefault(attempt.run, asyncio.Lock()):
            scene = await self._term.read(partial(_scene, attempt=attempt))
            if scene is None:
                return
            try:
                worker = self._term.workers.get(scene.worker)
                found = await call(worker.name, worker.worktree.PredictConflicts, scene.request(), _TIMEOUT)
            except HeddleError as error:
                log.warning("conflicts_not_predicted", attempt=str(attempt), error=error.message)
                return
            now = self._term.now()
            new, events = forecast(scene.in_play, found, scene.before, attempt, now)
            new.upstream = scene.upstream
            write = partial(_record_forecast, run=attempt.run, new=new, events=events, now=now)
            await self._term.write("record_forecast", write, *([f"runs/{attempt.run}"] if events else []))


def _scene(connection: Connection, attempt: AttemptName) -> _Scene | None:
    """Returns the input of the forecast; None unless the attempt was accepted and its run has not ended."""
    of_run = {"of_run": attempt.run}
    found, rows, before = fetch(
        connection, [(ACCEPTED_RUN, of(attempt)), (EPICS_IN_PLAY, of_run), (FORECAST, of_run)]
    )
    if not found:
        return None
    (run,) = found
    in_play, elsewhere = {}, []
    for row in rows:
        name = EpicName(attempt.run, row.epic)
        touches = tuple(pb.PlanEpic.FromString(row.spec).touches)
        merged = row.merge_state == MergeState.MERGED
        in_play[name.branch] = EpicInPlay(name, row.start_commit, merged, touches)
        if row.worker not in {"", run.worker}:
            elsewhere.append(pb.KnownBranch(branch=name.branch, commit=row.head_commit, elsewhere=True))
    return _Scene(
        worker=run.worker,
        project=run.project,
        base=run.head_commit or run.base_commit,
        upstream=run.merge_into or run.base_branch,
        in_play=in_play,
        elsewhere=elsewhere,
        before=forecast_of(before),
    )


def _record_forecast(
    connection: Connection, run: str, new: pb.ConflictForecast, events: list[pb.Event], now: int
) -> None:
    """Stores the forecast and its events, unless the run has ended: run_finished must be the last event."""
    if is_open(connection, run):
        write_forecast(connection, run, new)
        append(connection, events, now)
