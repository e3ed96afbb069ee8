"""Reads what runs, tasks and projects have spent."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.model.sessions.usage import total
from scheduler_svc.store.db.tables import attempts, epics, project_totals, runs

# In microseconds.
_DAY: Final = 24 * 3600 * 1_000_000
_EPOCH: Final = date(1970, 1, 1)

# All in micros.
_SPENT: Final = sa.func.coalesce(sa.func.sum(attempts.c.cost_micros), 0)


def usage_by(
    connection: sa.Connection, key: Iterable[sa.Column[Any]], *where: sa.ColumnElement[bool]
) -> Mapping[tuple[Any, ...], pb.UsageTotals]:
    """Returns the usage of attempts, summed by `key`, which are columns of attempts. Reads every attempt."""
    return _sums(connection, sa.select(attempts.c.usage, *key).where(*where, attempts.c.usage != b""))


def usage_by_run(
    connection: sa.Connection, key: Iterable[sa.Column[Any]], *where: sa.ColumnElement[bool]
) -> Mapping[tuple[Any, ...], pb.UsageTotals]:
    """Returns the usage of runs, summed by `key`, which are columns of runs, as `where` is about runs."""
    ended = sa.select(runs.c.usage, *key).where(*where, runs.c.usage.is_not(None))
    live = (
        sa.select(attempts.c.usage, *key)
        .join(runs, runs.c.run == attempts.c.run)
        .where(*where, attempts.c.ended_at.is_(None), attempts.c.usage != b"")
    )
    return _sums(connection, ended, live)


def usage_by_epic(
    connection: sa.Connection, run: str, *where: sa.ColumnElement[bool]
) -> Mapping[tuple[Any, ...], pb.UsageTotals]:
    """Returns the usage of epics of a run, by epic; `where` is about epics."""
    ended = sa.select(epics.c.usage, epics.c.epic).where(
        epics.c.run == run, *where, epics.c.usage.is_not(None)
    )
    live = (
        sa.select(attempts.c.usage, attempts.c.epic)
        .join(epics, sa.and_(epics.c.run == attempts.c.run, epics.c.epic == attempts.c.epic))
        .where(attempts.c.run == run, *where, attempts.c.ended_at.is_(None), attempts.c.usage != b"")
    )
    return _sums(connection, ended, live)


def _sums(connection: sa.Connection, *chosen: sa.Select[Any]) -> Mapping[tuple[Any, ...], pb.UsageTotals]:
    """Returns the sums of all rows, by key; each row is a usage and its key."""
    parts: dict[tuple[Any, ...], list[pb.UsageTotals]] = {}
    for data, *values in connection.execute(sa.union_all(*chosen)):
        parts.setdefault(tuple(values), []).append(pb.UsageTotals.FromString(data))
    return {values: total(each) for values, each in parts.items()}


def spent_by_task(connection: sa.Connection, going_on: sa.ScalarSelect[Any]) -> dict[tuple[str, ...], int]:
    """Returns the cost of the tasks of these runs, by run, epic and task; omits tasks without cost."""
    parts = (attempts.c.run, attempts.c.epic, attempts.c.task)
    chosen = sa.select(*parts, _SPENT).where(attempts.c.run.in_(going_on), attempts.c.cost_micros > 0)
    return {tuple(key): int(spent) for *key, spent in connection.execute(chosen.group_by(*parts))}


# A project's live attempts, which the totals do not contain yet.
_LIVE: Final = (
    sa.select(runs.c.project, attempts.c.cost_micros)
    .join(runs, runs.c.run == attempts.c.run)
    .where(attempts.c.ended_at.is_(None), attempts.c.cost_micros > 0)
)


def project_costs(
    connection: sa.Connection, projects: Iterable[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Returns by project the cost of all runs, including ended ones, and the average cost of an accepted attempt.

    The second omits projects without accepted attempts that cost anything.
    """
    names = list(projects)
    spent: dict[str, int] = {}
    typical: dict[str, int] = {}
    for row in connection.execute(sa.select(project_totals).where(project_totals.c.project.in_(names))):
        spent[row.project] = row.cost_micros
        if row.accepted_count:
            typical[row.project] = round(row.accepted_micros / row.accepted_count)
    for project, cost in connection.execute(_LIVE.where(runs.c.project.in_(names))):
        spent[project] = spent.get(project, 0) + cost
    return spent, typical


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
