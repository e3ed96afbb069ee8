"""Reads what runs, tasks and projects have spent."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.model.usage import total
from scheduler_svc.store.db.tables import attempts, runs

# In microseconds.
_DAY: Final = 24 * 3600 * 1_000_000
_EPOCH: Final = date(1970, 1, 1)

# All in micros.
_SPENT: Final = sa.func.coalesce(sa.func.sum(attempts.c.cost_micros), 0)


def usage_by(
    connection: sa.Connection, key: Iterable[sa.Column[Any]], *where: sa.ColumnElement[bool]
) -> Mapping[tuple[Any, ...], pb.UsageTotals]:
    """Returns the usage of attempts, summed by `key`, which are columns of attempts or their runs."""
    parts: dict[tuple[Any, ...], list[pb.UsageTotals]] = {}
    joined = attempts.join(runs, runs.c.run == attempts.c.run)
    chosen = sa.select(attempts.c.usage, *key).select_from(joined).where(*where, attempts.c.usage != b"")
    for data, *values in connection.execute(chosen):
        parts.setdefault(tuple(values), []).append(pb.UsageTotals.FromString(data))
    return {values: total(each) for values, each in parts.items()}


def spent_by_task(connection: sa.Connection, going_on: sa.ScalarSelect[Any]) -> dict[tuple[str, ...], int]:
    """Returns the cost of the tasks of these runs, by run, epic and task; omits tasks without cost."""
    parts = (attempts.c.run, attempts.c.epic, attempts.c.task)
    chosen = sa.select(*parts, _SPENT).where(attempts.c.run.in_(going_on), attempts.c.cost_micros > 0)
    return {tuple(key): int(spent) for *key, spent in connection.execute(chosen.group_by(*parts))}


def spent_by_project(connection: sa.Connection, projects: Iterable[str]) -> dict[str, int]:
    """Returns the cost of all runs of each project, including ended runs."""
    chosen = (
        sa.select(runs.c.project, _SPENT)
        .join(attempts, attempts.c.run == runs.c.run)
        .where(runs.c.project.in_(list(projects)))
        .group_by(runs.c.project)
    )
    return {project: int(spent) for project, spent in connection.execute(chosen)}


def typical_cost(connection: sa.Connection, projects: Iterable[str]) -> dict[str, int]:
    """Returns the average cost of an accepted attempt in each project; omits projects without costs."""
    chosen = (
        sa.select(runs.c.project, sa.func.avg(attempts.c.cost_micros))
        .join(attempts, attempts.c.run == runs.c.run)
        .where(
            runs.c.project.in_(list(projects)),
            attempts.c.state == pb.ATTEMPT_STATE_ACCEPTED,
            attempts.c.cost_micros > 0,
        )
        .group_by(runs.c.project)
    )
    return {project: round(average) for project, average in connection.execute(chosen)}


def daily_costs(
    connection: sa.Connection, since: int, project: str, projects: Sequence[str]
) -> list[pb.DailyCost]:
    """Returns the cost of the sessions since a time, in microseconds, by day, person, agent and project.

    Only that of `project`, unless it is empty, and of `projects`, unless they are empty.
    """
    day = attempts.c.started_at // _DAY
    keys = (day, runs.c.creator, attempts.c.agent, runs.c.project)
    chosen = (
        sa.select(*keys, _SPENT, sa.func.count())
        .select_from(attempts.join(runs, runs.c.run == attempts.c.run))
        .where(attempts.c.started_at >= since)
        .group_by(*keys)
        .order_by(*keys)
    )
    if project:
        chosen = chosen.where(runs.c.project == project)
    if projects:
        chosen = chosen.where(runs.c.project.in_(list(projects)))
    return [
        pb.DailyCost(
            date=(_EPOCH + timedelta(days=int(number))).isoformat(),
            user=user,
            agent=agent,
            project=path,
            cost_usd_micros=int(spent),
            sessions=sessions,
        )
        for number, user, agent, path, spent, sessions in connection.execute(chosen)
    ]
