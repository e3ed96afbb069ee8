"""Reads the progress of a run's tasks, for a forecast."""

from collections import defaultdict
from typing import Any, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import RunName, TaskName
from scheduler_svc.model.eta import LaneStand, TaskStand
from scheduler_svc.model.home import Home
from scheduler_svc.store.db.tables import EPIC_OF_TASK, NEWEST_ATTEMPT, attempts, epics, runs, tasks


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
    run = connection.execute(chosen).one_or_none()
    if run is None:
        raise not_found(name)
    joined = tasks.join(epics, EPIC_OF_TASK).outerjoin(attempts, NEWEST_ATTEMPT)
    # Only a waiting attempt's record is needed, and records are large.
    record = sa.case((tasks.c.state == pb.TASK_STATE_WAITING, attempts.c.record)).label("record")
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
            tasks.c.review.is_not(None).label("in_review"),
            tasks.c.candidates,
            tasks.c.candidate,
            tasks.c.chosen,
        )
        .select_from(joined)
        .where(tasks.c.run == name.run)
        .order_by(epics.c.place, tasks.c.position, tasks.c.candidate)
    )
    rows = connection.execute(stands).all()
    lanes: defaultdict[TaskName, list[LaneStand]] = defaultdict(list)
    for row in rows:
        if row.candidate:
            of_task = TaskName(name.run, row.epic, row.task).whole
            lanes[of_task].append(LaneStand(row.candidate, row.state, _took(row, now)))
    found = [
        TaskStand(
            row.epic,
            row.state,
            row.estimate,
            _took(row, now),
            tuple(row.needs.split()),
            row.task,
            row.in_review,
            tuple(lanes[TaskName(name.run, row.epic, row.task)]) if row.candidates else (),
            row.chosen,
        )
        for row in rows
        if not row.candidate
    ]
    in_wait = (epics.c.run == name.run) & (epics.c.state == pb.EPIC_STATE_AWAITING_MERGE)
    awaiting = frozenset(connection.execute(sa.select(epics.c.epic).where(in_wait)).scalars())
    home = Home(run.project, run.worker, run.served)
    return RunStand(pb.Plan.FromString(run.plan), found, run.max_parallel, home, awaiting)


def _took(row: Any, now: int) -> float | None:
    """Returns the seconds of an attempt until its end, or until it asked; None if there is none."""
    if row.started_at is None:
        return None
    until: int = row.ended_at or _asked_at(row.record) or now
    return (until - int(row.started_at)) / 1_000_000


def _asked_at(record: bytes | None) -> int | None:
    """Returns when the oldest open question of an attempt was asked, in microseconds; None if none is open."""
    asked = pb.Attempt.FromString(record).approvals if record else ()
    return min((each.request_time.ToMicroseconds() for each in asked), default=None)
