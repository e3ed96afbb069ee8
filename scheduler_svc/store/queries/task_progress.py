"""Reads the progress of a run's tasks, for a forecast."""

from typing import NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import RunName
from scheduler_svc.model.eta import TaskStand
from scheduler_svc.model.home import Home
from scheduler_svc.store.db.tables import EPIC_OF_TASK, IS_WHOLE, NEWEST_ATTEMPT, attempts, epics, runs, tasks


class RunStand(NamedTuple):
    """A run as the input of a forecast."""

    plan: pb.Plan
    tasks: list[TaskStand]
    max_parallel: int
    home: Home
    # Keys of the epics that wait for the operator's merge.
    awaiting_merge: frozenset[str]


def read_stand(connection: sa.Connection, name: RunName, now: int) -> RunStand:
    """Returns the progress of a run at `now`, in microseconds; raises NOT_FOUND."""
    chosen = sa.select(runs.c.plan, runs.c.max_parallel, runs.c.worker, runs.c.project, runs.c.served).where(
        runs.c.run == name.run
    )
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise not_found(name)
    joined = tasks.join(epics, EPIC_OF_TASK).outerjoin(attempts, NEWEST_ATTEMPT)
    # Only a waiting attempt's record is needed, and records are large.
    record = sa.case((tasks.c.state == pb.TASK_STATE_WAITING, attempts.c.record))
    stands = (
        sa.select(
            tasks.c.epic,
            tasks.c.task,
            tasks.c.state,
            tasks.c.estimate,
            tasks.c.needs,
            attempts.c.started_at,
            attempts.c.ended_at,
            record,
        )
        .select_from(joined)
        .where(tasks.c.run == name.run, IS_WHOLE)
        .order_by(epics.c.place, tasks.c.position)
    )
    found = [
        TaskStand(
            epic,
            state,
            estimate,
            None if start is None else ((end or _asked_at(record) or now) - start) / 1_000_000,
            tuple(needs.split()),
            task,
        )
        for epic, task, state, estimate, needs, start, end, record in connection.execute(stands)
    ]
    in_wait = (epics.c.run == name.run) & (epics.c.state == pb.EPIC_STATE_AWAITING_MERGE)
    awaiting = frozenset(connection.execute(sa.select(epics.c.epic).where(in_wait)).scalars())
    home = Home(row.project, row.worker, row.served)
    return RunStand(pb.Plan.FromString(row.plan), found, row.max_parallel, home, awaiting)


def _asked_at(record: bytes | None) -> int | None:
    """Returns when the oldest open question of an attempt was asked, in microseconds; None if none is open."""
    asked = pb.Attempt.FromString(record).approvals if record else ()
    return min((each.request_time.ToMicroseconds() for each in asked), default=None)
