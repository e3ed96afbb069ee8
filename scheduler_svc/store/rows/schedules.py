"""Stores schedules, which start runs at recurring times."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.model.schedule_times import Due, Step
from scheduler_svc.store.db.plan_tables import schedules
from scheduler_svc.store.db.tables import runs
from scheduler_svc.store.db.times import timestamp


class DueSchedule(NamedTuple):
    """A schedule whose time has come."""

    id: str
    due: Due
    request: pb.CreateRunRequest
    creator: str


def insert(connection: sa.Connection, row: dict[str, object]) -> None:
    """Adds a schedule that has not started a run."""
    unused = {"paused": False, "queued": False, "last_at": None, "last_run": "", "problem": ""}
    connection.execute(sa.insert(schedules), unused | row)


def listed(connection: sa.Connection) -> list[pb.Schedule]:
    """Returns all schedules by name."""
    return [_schedule(row) for row in connection.execute(sa.select(*_SHOWN).order_by(schedules.c.schedule))]


def read(connection: sa.Connection, schedule: str) -> pb.Schedule:
    """Returns a schedule; raises NOT_FOUND."""
    row = connection.execute(sa.select(*_SHOWN).where(schedules.c.schedule == schedule)).one_or_none()
    if row is None:
        raise not_found(f"schedules/{schedule}")
    return _schedule(row)


def set_paused(connection: sa.Connection, schedule: str, *, paused: bool, next_at: int | None) -> None:
    """Pauses a schedule, or resumes it, which makes it due at `next_at`; does nothing if it already is."""
    changed = sa.update(schedules).where(schedules.c.schedule == schedule, schedules.c.paused != paused)
    connection.execute(changed.values(paused=paused, queued=False, next_at=next_at, problem=""))


def delete(connection: sa.Connection, schedule: str) -> None:
    """Removes a schedule; raises NOT_FOUND."""
    if not connection.execute(sa.delete(schedules).where(schedules.c.schedule == schedule)).rowcount:
        raise not_found(f"schedules/{schedule}")


def due(connection: sa.Connection, now: int) -> Sequence[DueSchedule]:
    """Returns the schedules that are due at `now` and not paused."""
    running = sa.case((runs.c.state.not_in(ENDED_RUN), runs.c.run), else_="").label("running")
    chosen = (
        sa.select(schedules, running)
        .outerjoin(runs, runs.c.run == schedules.c.last_run)
        .where(schedules.c.next_at <= now, ~schedules.c.paused)
        .order_by(schedules.c.next_at)
    )
    return [
        DueSchedule(
            row.schedule,
            Due(
                row.cron,
                row.time_zone,
                row.overlap,
                row.missed,
                row.next_at,
                row.queued,
                f"runs/{row.running}" if row.running else "",
            ),
            pb.CreateRunRequest.FromString(row.request),
            row.creator,
        )
        for row in connection.execute(chosen)
    ]


def advance(connection: sa.Connection, found: DueSchedule, step: Step, *, run: str, problem: str) -> None:
    """Records what a due schedule did; does nothing if it was changed or deleted since."""
    values: dict[str, object] = {"next_at": step.next_at, "queued": step.queued, "problem": problem}
    if run:
        values |= {"last_at": step.start, "last_run": run.removeprefix("runs/")}
    same = (schedules.c.schedule == found.id, schedules.c.next_at == found.due.next_at, ~schedules.c.paused)
    connection.execute(sa.update(schedules).where(*same).values(values))


# Without the request, which can be large.
_SHOWN = [column for column in schedules.c if column.name != "request"]


def _schedule(row: Any) -> pb.Schedule:
    found = pb.Schedule(
        name=f"schedules/{row.schedule}",
        title=row.title,
        cron=row.cron,
        time_zone=row.time_zone,
        overlap=row.overlap,
        missed=row.missed,
        paused=row.paused,
        project=row.project,
        creator=row.creator,
        create_time=timestamp(row.created_at),
        last_run=f"runs/{row.last_run}" if row.last_run else "",
        problem=row.problem,
    )
    if row.next_at is not None and not row.paused:
        found.next_time.CopyFrom(timestamp(row.next_at))
    if row.last_at is not None:
        found.last_time.CopyFrom(timestamp(row.last_at))
    return found
