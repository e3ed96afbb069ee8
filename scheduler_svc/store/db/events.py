"""A run's log: appends events and reads pages of events."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.partitions import in_days_of_run
from scheduler_svc.store.db.statements import INSERT_EVENT, TAKE_NUMBERS
from scheduler_svc.store.db.tables import run_events
from scheduler_svc.store.db.times import timestamp

# Key under which a connection stores the events of its transaction.
_APPENDED: Final = "heddle_appended"


def event(name: RunName | EpicName | TaskName | AttemptName, actor: str, **payload: Any) -> pb.Event:
    """Returns an event about `name`; the keyword argument is the payload field."""
    made = pb.Event(run=f"runs/{name.run}", actor=actor, **payload)
    if not isinstance(name, RunName):
        made.epic = name.epic
    if isinstance(name, (TaskName, AttemptName)):
        made.task = name.task
    if isinstance(name, AttemptName):
        made.attempt = name.number
    return made


@contextmanager
def collecting(connection: sa.Connection) -> Iterator[None]:
    """Collects the events that `append` receives inside the block, and writes them at its end.

    Writes nothing if the block raises.
    """
    appended: defaultdict[str, list[pb.Event]] = defaultdict(list)
    # Kept, because a connection that has broken in the meantime has none.
    info = connection.info
    info[_APPENDED] = appended
    try:
        yield
        if appended:
            _write(connection, appended)
    finally:
        info.pop(_APPENDED, None)


def append(connection: sa.Connection, events: Iterable[pb.Event], now: int) -> None:
    """Adds events to the logs of their runs; an event without a time gets `now`, in microseconds.

    They are numbered and written at the end of the transaction.
    """
    for each in events:
        if not each.HasField("time"):
            each.time.CopyFrom(timestamp(now))
        connection.info[_APPENDED][each.run].append(each)


def _write(connection: sa.Connection, appended: Mapping[str, Sequence[pb.Event]]) -> None:
    """Numbers and writes the events of each run.

    The counter is in the run's row, so sequences follow the order of commits, and a
    transaction that fails uses none. The database numbers them, so that no result must be awaited.
    """
    # The order is always the same, so that transactions on the same runs cannot deadlock.
    for name in sorted(appended):
        run, events = RunName.parse(name).run, appended[name]
        pipeline.later(connection, TAKE_NUMBERS, {"of_run": run, "count": len(events)}, required=True)
        for place, each in enumerate(events, 1 - len(events)):
            # A copied event has the number of the log that it comes from.
            each.ClearField("sequence")
            row = {"of_run": run, "place": place, "event": each.SerializeToString()}
            pipeline.later(connection, INSERT_EVENT, row)


def oldest_event(connection: sa.Connection, run: str, last: int) -> int:
    """Returns the oldest sequence in a run's log; the next future sequence if the log is empty."""
    chosen = sa.select(sa.func.min(run_events.c.sequence)).where(
        run_events.c.run == run, *in_days_of_run(connection, run_events, run)
    )
    oldest = connection.execute(chosen).scalar_one()
    return last + 1 if oldest is None else int(oldest)


def read_events(
    connection: sa.Connection, run: str, after: int, limit: int, max_bytes: int
) -> list[pb.Event]:
    """Returns events after a sequence, up to a limit; at least one if there are any."""
    rows = connection.execute(
        sa.select(run_events.c.sequence, run_events.c.event)
        .where(
            run_events.c.run == run,
            run_events.c.sequence > after,
            *in_days_of_run(connection, run_events, run),
        )
        .order_by(run_events.c.sequence)
        .limit(limit)
    )
    events: list[pb.Event] = []
    size = 0
    for sequence, data in rows:
        size += len(data)
        if events and size > max_bytes:
            break
        found = pb.Event.FromString(data)
        found.sequence = sequence
        events.append(found)
    return events
