"""Reads the costs and budgets of resources, one level at a time."""

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import ANY, AttemptName, EpicName, RunName, TaskName
from scheduler_svc.model.sessions.usage import total
from scheduler_svc.store.db.tables import ATTEMPT_OF_TASK, EPIC_OF_TASK, attempts, epics, runs, tasks
from scheduler_svc.store.db.times import optional_timestamp
from scheduler_svc.store.queries import page_tokens
from scheduler_svc.store.queries.resources import RUN_COLUMNS
from scheduler_svc.store.queries.spending import usage_by, usage_by_epic, usage_by_run

_PAGE: Final = 100
_LARGEST_PAGE: Final = 500


def list_costs(
    connection: sa.Connection,
    request: pb.ListCostsRequest,
    project_budget: int | None,
    projects: Collection[str] = (),
) -> pb.ListCostsResponse:
    """Returns a page of the costs below the parent; raises NOT_FOUND. `project_budget` is in micros.

    If the parent is of no single project, the costs are those of `projects` only, unless that is empty.
    """
    parent = request.parent
    match parent.count("/") if parent.startswith("runs/") else None:
        case 1:
            return _epics(connection, request, RunName.parse(parent))
        case 3:
            return _tasks(connection, request, EpicName.parse(parent, wildcard=True))
        case number if number:
            return _sessions(connection, request, TaskName.parse(parent, wildcard=True))
    visible = [runs.c.project.in_(projects)] if projects else []
    if parent == ANY:
        return _runs(connection, request, "", project_budget, *visible)
    if parent:
        return _runs(connection, request, parent, project_budget, runs.c.project == parent)
    return _projects(connection, request, project_budget, *visible)


def _projects(
    connection: sa.Connection,
    request: pb.ListCostsRequest,
    budget: int | None,
    *within: sa.ColumnElement[bool],
) -> pb.ListCostsResponse:
    chosen = sa.select(runs.c.project, sa.func.min(runs.c.started_at).label("started_at")).where(*within)
    if after := page_tokens.texts(request.page_token, 1):
        chosen = chosen.where(runs.c.project > after[0])
    rows, more = _page(connection, request, chosen.group_by(runs.c.project).order_by(runs.c.project))
    sums = _Sums(connection, usage_by_run(connection, [runs.c.project], *within), [runs.c.project], *within)
    return pb.ListCostsResponse(
        costs=[_cost(row.project, row, sums.of(row.project), budget) for row in rows],
        next_page_token=page_tokens.token(rows[-1].project) if more else "",
        total=sums.add_to(pb.Cost()),
    )


def _runs(
    connection: sa.Connection,
    request: pb.ListCostsRequest,
    project: str,
    project_budget: int | None,
    *within: sa.ColumnElement[bool],
) -> pb.ListCostsResponse:
    """Returns a page of the runs that are `within`: those of one project, or of several if `project` is empty."""
    chosen = sa.select(*RUN_COLUMNS).where(*within).order_by(runs.c.created_at.desc(), runs.c.run.desc())
    if after := page_tokens.texts(request.page_token, 2):
        [created_at] = page_tokens.numbers(page_tokens.token(after[0]), 1) or [0]
        chosen = chosen.where(sa.tuple_(runs.c.created_at, runs.c.run) < (created_at, after[1]))
    rows, more = _page(connection, request, chosen)
    if project and not rows and not request.page_token:
        raise not_found(f"run of project {project}")
    sums = _Sums(connection, usage_by_run(connection, [runs.c.run], *within), [attempts.c.run], *within)
    costs = [
        _cost(
            str(RunName(row.run)),
            row,
            sums.of(row.run),
            row.budget_micros,
            title=row.title,
            project=row.project,
        )
        for row in rows
    ]
    return pb.ListCostsResponse(
        costs=costs,
        next_page_token=page_tokens.token(rows[-1].created_at, rows[-1].run) if more else "",
        total=sums.add_to(pb.Cost(name=project, budget_usd_micros=project_budget if project else None)),
    )


def _epics(connection: sa.Connection, request: pb.ListCostsRequest, run: RunName) -> pb.ListCostsResponse:
    chosen = sa.select(epics).where(epics.c.run == run.run).order_by(epics.c.place)
    if after := page_tokens.numbers(request.page_token, 1):
        chosen = chosen.where(epics.c.place > after[0])
    sum_of_all = _of_run(connection, run)
    rows, more = _page(connection, request, chosen)
    usage = usage_by_epic(connection, run.run)
    sums = _Sums(connection, usage, [attempts.c.epic], attempts.c.run == run.run)
    costs = [
        _cost(
            str(run.epic(row.epic)),
            row,
            sums.of(row.epic),
            row.budget_micros,
            title=pb.PlanEpic.FromString(row.spec).title,
        )
        for row in rows
    ]
    return pb.ListCostsResponse(
        costs=costs,
        next_page_token=page_tokens.token(rows[-1].place) if more else "",
        total=sums.add_to(sum_of_all),
    )


def _tasks(connection: sa.Connection, request: pb.ListCostsRequest, epic: EpicName) -> pb.ListCostsResponse:
    began = (
        sa.select(sa.func.min(attempts.c.started_at))
        .where(ATTEMPT_OF_TASK)
        .correlate(tasks)
        .scalar_subquery()
        .label("started_at")
    )
    chosen = sa.select(tasks, epics.c.place, began).select_from(tasks.join(epics, EPIC_OF_TASK))
    place = (epics.c.place, tasks.c.position, tasks.c.candidate)
    chosen = chosen.where(*_within(tasks, epic)).order_by(*place)
    if after := page_tokens.numbers(request.page_token, 3):
        chosen = chosen.where(sa.tuple_(*place) > tuple(after))
    sum_of_all = _of_epic(connection, epic)
    rows, more = _page(connection, request, chosen)
    key, within = [attempts.c.epic, attempts.c.task], _within(attempts, epic)
    sums = _Sums(connection, usage_by(connection, key, *within), key, *within)
    costs = [
        _cost(
            str(TaskName(row.run, row.epic, row.task)),
            row,
            sums.of(row.epic, row.task),
            row.budget_micros,
            title=pb.PlanTask.FromString(row.spec).title,
        )
        for row in rows
    ]
    last = rows[-1] if more else None
    return pb.ListCostsResponse(
        costs=costs,
        next_page_token=page_tokens.token(last.place, last.position, last.candidate) if last else "",
        total=sums.add_to(sum_of_all),
    )


def _sessions(
    connection: sa.Connection, request: pb.ListCostsRequest, task: TaskName
) -> pb.ListCostsResponse:
    place = (epics.c.place, tasks.c.position, tasks.c.candidate, attempts.c.number)
    chosen = sa.select(attempts, *place[:3]).select_from(
        attempts.join(tasks, ATTEMPT_OF_TASK).join(epics, EPIC_OF_TASK)
    )
    chosen = chosen.where(*_within(attempts, task)).order_by(*place)
    if after := page_tokens.numbers(request.page_token, 4):
        chosen = chosen.where(sa.tuple_(*place) > tuple(after))
    sum_of_all = _of_task(connection, task)
    rows, more = _page(connection, request, chosen)
    key, within = [attempts.c.run], _within(attempts, task)
    sums = _Sums(connection, usage_by(connection, key, *within), key, *within)
    costs = [
        _cost(
            str(AttemptName(row.run, row.epic, row.task, row.number)),
            row,
            (pb.UsageTotals.FromString(row.usage), _left(row)),
            row.share_micros,
            agent=row.agent,
        )
        for row in rows
    ]
    more_after = ""
    if more:
        last = rows[-1]
        more_after = page_tokens.token(last.place, last.position, last.candidate, last.number)
    return pb.ListCostsResponse(
        costs=costs,
        next_page_token=more_after,
        total=sums.add_to(sum_of_all),
    )


def _page(
    connection: sa.Connection, request: pb.ListCostsRequest, chosen: sa.Select[Any]
) -> tuple[list[Any], bool]:
    """Returns the rows of a page, and whether more follow."""
    size = page_tokens.page_size(request.page_size, _PAGE, _LARGEST_PAGE)
    rows = list(connection.execute(chosen.limit(size + 1)))
    return rows[:size], len(rows) > size


def _within(table: sa.Table, name: EpicName | TaskName) -> list[sa.ColumnElement[bool]]:
    """Returns the condition on rows below a name whose parts may be ANY."""
    parts = name._asdict().items()
    return [table.c[column] == value for column, value in parts if value != ANY]


_Spending: TypeAlias = tuple[pb.UsageTotals | None, int]
_NOTHING: Final[_Spending] = (None, 0)


class _Sums:
    """The usage of attempts, and the unspent shares of the live ones, summed by a key."""

    def __init__(
        self,
        connection: sa.Connection,
        usage: Mapping[tuple[Any, ...], pb.UsageTotals],
        key: list[sa.Column[Any]],
        *where: sa.ColumnElement[bool],
    ) -> None:
        self._usage = usage
        left = attempts.c.share_micros - attempts.c.cost_micros
        chosen = (
            sa.select(sa.func.sum(left), *key)
            .select_from(attempts.join(runs, runs.c.run == attempts.c.run))
            .where(*where, attempts.c.ended_at.is_(None), left > 0)
        )
        rows = connection.execute(chosen.group_by(*key))
        self._reserved = {tuple(values): int(reserved) for reserved, *values in rows}

    def of(self, *key: str) -> _Spending:
        return self._usage.get(key), self._reserved.get(key, 0)

    def add_to(self, cost: pb.Cost) -> pb.Cost:
        """Sets the totals in `cost`; returns it."""
        cost.usage.CopyFrom(total(self._usage.values()))
        cost.reserved_usd_micros = sum(self._reserved.values())
        return cost


def _left(row: Any) -> int:
    """Returns the unspent part of a session's share, in micros."""
    if row.ended_at is not None or row.share_micros is None:
        return 0
    return max(0, int(row.share_micros) - int(row.cost_micros))


def _cost(name: str, row: Any, spending: _Spending, budget: int | None, **more: Any) -> pb.Cost:
    usage, reserved = spending
    return pb.Cost(
        name=name,
        usage=usage,
        reserved_usd_micros=reserved,
        budget_usd_micros=budget,
        start_time=optional_timestamp(row.started_at),
        **more,
    )


# The summed columns, except the usage.


def _of_run(connection: sa.Connection, name: RunName) -> pb.Cost:
    row = connection.execute(sa.select(*RUN_COLUMNS).where(runs.c.run == name.run)).one_or_none()
    if row is None:
        raise not_found(name)
    return _cost(str(name), row, _NOTHING, row.budget_micros, title=row.title, project=row.project)


def _of_epic(connection: sa.Connection, name: EpicName) -> pb.Cost:
    if name.epic == ANY:
        return _of_run(connection, name.parent)
    row = connection.execute(sa.select(epics).where(*_within(epics, name))).one_or_none()
    if row is None:
        raise not_found(name)
    return _cost(str(name), row, _NOTHING, row.budget_micros, title=pb.PlanEpic.FromString(row.spec).title)


def _of_task(connection: sa.Connection, name: TaskName) -> pb.Cost:
    if ANY in {name.task, name.epic}:
        return _of_epic(connection, name.parent)
    row = connection.execute(sa.select(tasks).where(*_within(tasks, name))).one_or_none()
    if row is None:
        raise not_found(name)
    return pb.Cost(
        name=str(name), budget_usd_micros=row.budget_micros, title=pb.PlanTask.FromString(row.spec).title
    )
