"""Streams all runs: first the existing ones, then each run that changes."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from typing import Any, Final

from heddle import pb
from scheduler_svc.api.run_stream import CHECKPOINT, grouped
from scheduler_svc.store.db.database import Connection, Database, Row
from scheduler_svc.store.db.doorbell import RUNS, Doorbell
from scheduler_svc.store.queries.records import newest_runs, run_rows, run_versions
from scheduler_svc.store.queries.resources import runs_of

# Seconds between two reads. A run that changes more often is sent in its state at the time of the read.
_INTERVAL: Final = 0.5


async def watch_runs(
    database: Database, doorbell: Doorbell, newest: int, projects: Collection[str] = ()
) -> AsyncIterator[pb.WatchRunsResponse]:
    """Yields the runs that have not ended and the newest others, then every run that changes; never ends.

    Only those of `projects` unless that is empty.
    """
    seen = _Seen(frozenset(projects))
    with doorbell.listen(RUNS) as bell:
        first = await database.read(lambda connection: seen.first(connection, newest))
        for group in grouped(first):
            yield pb.WatchRunsResponse(runs=group)
        yield pb.WatchRunsResponse(complete=True)
        while True:
            await asyncio.sleep(_INTERVAL)
            rung = await bell.wait(CHECKPOINT)
            # Reads even if nothing rang: a ring of another replica may have been lost.
            changed = await database.read(partial(seen.changed, rung=rung))
            for group in grouped(changed):
                yield pb.WatchRunsResponse(runs=group, complete=True)
            if not changed:
                yield pb.WatchRunsResponse(complete=True)


class _Seen:
    """Tracks which version of each run a watcher has received. `projects`: those that it may see; empty: all."""

    def __init__(self, projects: frozenset[str]) -> None:
        self._projects = projects
        # By run id: the runs that may change. An ended run does not change until it is reopened.
        self._versions: dict[str, tuple[Any, ...]] = {}

    def first(self, connection: Connection, newest: int) -> list[pb.Run]:
        """Returns the initial runs of the stream, newest first."""
        return self._take(connection, newest_runs(connection, newest, self._projects))

    def changed(self, connection: Connection, rung: set[str]) -> list[pb.Run]:
        """Returns the runs that changed since they were last returned; `rung` names some of them."""
        # Only its ring reveals a run that began and ended since the last read.
        known = [*self._versions, *(name.removeprefix("runs/") for name in rung)]
        versions = run_versions(connection, known)
        changed = [run for run, version in versions.items() if self._versions.get(run) != version]
        return self._take(connection, run_rows(connection, changed)) if changed else []

    def _take(self, connection: Connection, rows: Sequence[Row]) -> list[pb.Run]:
        visible = [row for row in rows if not self._projects or row.project in self._projects]
        found = runs_of(connection, visible)
        for row in rows:
            if row.ended_at is None:
                self._versions[row.run] = (row.run, row.sequence, row.state)
            else:
                self._versions.pop(row.run, None)
        return found
