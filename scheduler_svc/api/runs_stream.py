"""The stream of all runs: which there are, and each as it changes."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.api.run_stream import CHECKPOINT, grouped
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import RUNS, Doorbell
from scheduler_svc.store.db.tables import runs
from scheduler_svc.store.queries.resources import runs_of

# Seconds between two looks: what changes more often is told as it is then.
_INTERVAL: Final = 0.5

# What no change leaves as it was: cancelling alone has no event.
_VERSION: Final = (runs.c.run, runs.c.sequence, runs.c.state)


async def watch_runs(
    database: Database, doorbell: Doorbell, newest: int
) -> AsyncIterator[pb.WatchRunsResponse]:
    """Yields the runs that have not ended and the newest others, then each that changed, without end."""
    seen = _Seen()
    with doorbell.listen(RUNS) as bell:
        first = await database.read(lambda connection: seen.first(connection, newest))
        for group in grouped(first):
            yield pb.WatchRunsResponse(runs=group)
        yield pb.WatchRunsResponse(complete=True)
        while True:
            await asyncio.sleep(_INTERVAL)
            rung = await bell.wait(CHECKPOINT)
            # Looked at in any case: a ring of another replica may have been lost.
            changed = await database.read(partial(seen.changed, rung=rung))
            for group in grouped(changed):
                yield pb.WatchRunsResponse(runs=group, complete=True)
            if not changed:
                yield pb.WatchRunsResponse(complete=True)


class _Seen:
    """Which runs a watcher has, and as of when."""

    def __init__(self) -> None:
        # By id of run: those that may change. One that ended stays as it is until it goes on again.
        self._versions: dict[str, tuple[Any, ...]] = {}

    def first(self, connection: sa.Connection, newest: int) -> list[pb.Run]:
        """Returns what comes first, the newest first."""
        of_newest = sa.select(runs.c.run).order_by(runs.c.created_at.desc(), runs.c.run.desc()).limit(newest)
        wanted = sa.or_(runs.c.ended_at.is_(None), runs.c.run.in_(of_newest))
        return self._read(connection, wanted)

    def changed(self, connection: sa.Connection, rung: set[str]) -> list[pb.Run]:
        """Returns the runs with news since they were last returned; `rung` are the names of some of them."""
        # By its ring a run is found that began and ended since the last look.
        known = [*self._versions, *(name.removeprefix("runs/") for name in rung)]
        live = sa.select(*_VERSION).where(sa.or_(runs.c.ended_at.is_(None), runs.c.run.in_(known)))
        changed = [row.run for row in connection.execute(live) if self._versions.get(row.run) != tuple(row)]
        return self._read(connection, runs.c.run.in_(changed)) if changed else []

    def _read(self, connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> list[pb.Run]:
        chosen = sa.select(runs).where(wanted).order_by(runs.c.created_at.desc(), runs.c.run.desc())
        rows = connection.execute(chosen).all()
        for row in rows:
            if row.ended_at is None:
                self._versions[row.run] = (row.run, row.sequence, row.state)
            else:
                self._versions.pop(row.run, None)
        return runs_of(connection, rows)
