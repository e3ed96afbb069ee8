"""Reads the progress of a run's tasks, for a forecast."""

from typing import NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import RunName
from scheduler_svc.model.eta import TaskStand
from scheduler_svc.store.db.tables import EPIC_OF_TASK, NEWEST_ATTEMPT, attempts, epics, runs, tasks


class RunStand(NamedTuple):
    """A run as the input of a forecast."""

    plan: pb.Plan
    tasks: list[TaskStand]
    max_parallel: int
    worker: str


def read_stand(connection: sa.Connection, name: RunName, now: int) -> RunStand:
    """Returns the progress of a run at `now`, in microseconds; raises NOT_FOUND."""
    chosen = sa.select(runs.c.plan, runs.c.max_parallel, runs.c.worker).where(runs.c.run == name.run)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise not_found(name)
    joined = tasks.join(epics, EPIC_OF_TASK).outerjoin(attempts, NEWEST_ATTEMPT)
    stands = (
        sa.select(
            tasks.c.epic,
            tasks.c.task,
            tasks.c.state,
            tasks.c.estimate,
            tasks.c.needs,
            attempts.c.started_at,
            attempts.c.ended_at,
        )
        .select_from(joined)
        .where(tasks.c.run == name.run)
        .order_by(epics.c.place, tasks.c.position)
    )
    found = [
        TaskStand(
            epic,
            state,
            estimate,
            None if start is None else ((end or now) - start) / 1_000_000,
            tuple(needs.split()),
            task,
        )
        for epic, task, state, estimate, needs, start, end in connection.execute(stands)
    ]
    return RunStand(pb.Plan.FromString(row.plan), found, row.max_parallel, row.worker)
