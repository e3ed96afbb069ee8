"""Reads the open questions to the operator, for decisions."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.model.sessions.session_summary import is_overdue
from scheduler_svc.store.db.tables import NEWEST_ATTEMPT, attempts, runs, tasks

_GOING_ON = sa.select(runs.c.run).where(runs.c.ended_at.is_(None)).scalar_subquery()

# The questions of the tasks that wait for the operator.
_WAITING = (
    sa.select(tasks.c.run, tasks.c.epic, tasks.c.task, attempts.c.record)
    .join(attempts, NEWEST_ATTEMPT)
    .where(tasks.c.run.in_(_GOING_ON), tasks.c.state == pb.TASK_STATE_WAITING)
)


class Wait(NamedTuple):
    """The fields of TaskView about a task's open question."""

    asked_at: int | None = None
    parkable: bool = False
    overdue: bool = False


NO_WAIT: Final = Wait()


def _wait(record: bytes, now: int | None, park_after: int) -> Wait:
    asked = pb.Attempt.FromString(record).approvals
    asked_at = min((each.request_time.ToMicroseconds() for each in asked), default=None)
    return Wait(
        asked_at=asked_at,
        parkable=(
            None not in {now, asked_at}
            and (now or 0) - (asked_at or 0) >= park_after
            and all(each.parkable for each in asked)
        ),
        overdue=now is not None and any(is_overdue(each, now) for each in asked),
    )


def waits(
    connection: sa.Connection, rows: Iterable[Any], now: int | None, park_after: int
) -> dict[tuple[str, ...], Wait]:
    """Returns the open question of each task that waits for the operator, by run, epic and task."""
    if all(row[3] != pb.TASK_STATE_WAITING for row in rows):
        return {}
    return {
        (row.run, row.epic, row.task): _wait(row.record, now, park_after)
        for row in connection.execute(_WAITING)
    }
