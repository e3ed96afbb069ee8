"""Reads what a watcher of a run needs: the run, its new events, and the resources that they changed.

Three statements read a page, however large the run is.
"""

from collections import Counter, namedtuple
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import RunName
from scheduler_svc.model.sessions.usage import total
from scheduler_svc.store.db.tables import EPIC_OF_TASK, NEWEST_ATTEMPT, attempts, epics, runs, tasks
from scheduler_svc.store.queries.resources import (
    RUN_COLUMNS,
    attempt_of,
    counted_state,
    epic_of,
    run_of,
    task_counts,
    task_of,
)

_EPIC_COUNT: Final = (
    sa.select(sa.func.count()).select_from(epics).where(epics.c.run == runs.c.run).scalar_subquery()
)

_of_run = tasks.alias("of_run")
_of_epic = tasks.alias("of_epic")


def _states(table: Any, *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
    """Selects how many tasks are in each state, as one text: "state * 2 + unchanged : count", with commas between."""
    each = counted_state(table)
    state = sa.cast(each * 2 + sa.case((table.c.unchanged, 1), else_=0), sa.Text)
    counted = (
        sa.select(state.label("state"), sa.func.count().label("count"))
        .where(*where, table.c.candidate == 0)
        .group_by(each, table.c.unchanged)
        .correlate(runs, epics)
        .subquery()
    )
    pair = counted.c.state + ":" + sa.cast(counted.c.count, sa.Text)
    return sa.select(sa.func.aggregate_strings(pair, ",")).scalar_subquery()


# One row for each live attempt of the run that has used anything, and one row if there is none.
_HEAD: Final = (
    sa.select(
        *RUN_COLUMNS,
        _EPIC_COUNT.label("epic_count"),
        _states(_of_run, _of_run.c.run == sa.bindparam("of_run")).label("task_states"),
        attempts.c.epic.label("live_epic"),
        attempts.c.usage.label("live_usage"),
    )
    .select_from(
        runs.outerjoin(
            attempts,
            sa.and_(attempts.c.run == runs.c.run, attempts.c.ended_at.is_(None), attempts.c.usage != b""),
        )
    )
    .where(runs.c.run == sa.bindparam("of_run"))
)

_CHANGED: Final = (
    sa.select(
        *epics.c,
        _states(_of_epic, _of_epic.c.run == epics.c.run, _of_epic.c.epic == epics.c.epic).label("states"),
        *tasks.c,
        *attempts.c,
    )
    .where(epics.c.run == sa.bindparam("of_run"))
    .order_by(epics.c.place, tasks.c.position, tasks.c.candidate)
)
_ALL_TASKS: Final = epics.outerjoin(tasks, EPIC_OF_TASK).outerjoin(attempts, NEWEST_ATTEMPT)
_SOME_TASKS: Final = epics.outerjoin(
    tasks,
    sa.and_(EPIC_OF_TASK, sa.tuple_(tasks.c.epic, tasks.c.task).in_(sa.bindparam("tasks", expanding=True))),
).outerjoin(attempts, NEWEST_ATTEMPT)
_ALL: Final = _CHANGED.select_from(_ALL_TASKS)
_SOME: Final = _CHANGED.select_from(_SOME_TASKS).where(
    epics.c.epic.in_(sa.bindparam("epics", expanding=True))
)


class Head(NamedTuple):
    """A run, and what the live attempts of its epics have used so far."""

    run: pb.Run
    worker: str
    live: dict[str, list[pb.UsageTotals]]


def read_head(connection: sa.Connection, name: RunName) -> Head:
    """Returns the run; raises NOT_FOUND. One statement."""
    rows = connection.execute(_HEAD, {"of_run": name.run}).all()
    if not rows:
        raise not_found(name)
    live: dict[str, list[pb.UsageTotals]] = {}
    for row in rows:
        if row.live_epic is not None:
            live.setdefault(row.live_epic, []).append(pb.UsageTotals.FromString(row.live_usage))
    first = rows[0]
    used = [
        *([first.usage] if first.usage else ()),
        *(usage for of_epic in live.values() for usage in of_epic),
    ]
    run = run_of(first, _counts(first.task_states), first.epic_count, _total(used))
    return Head(run, first.worker, live)


def _total(parts: Iterable[bytes | pb.UsageTotals]) -> pb.UsageTotals | None:
    found = [pb.UsageTotals.FromString(part) if isinstance(part, bytes) else part for part in parts]
    return total(found) if found else None


def _counts(states: str | None) -> pb.TaskCounts | None:
    """Returns the counts of tasks by state; `states` is what `_states` selects."""
    counted: Counter[tuple[int, bool]] = Counter()
    for part in states.split(",") if states else ():
        state, _, count = part.partition(":")
        counted[int(state) // 2, bool(int(state) % 2)] += int(count)
    return task_counts(counted) if counted else None


def _rows(table: sa.Table) -> Callable[[Iterable[Any]], Any]:
    # Its fields are the columns of the table.
    kind: Any = namedtuple("Row", table.c.keys())  # type: ignore[misc]  # noqa: PYI024 (known only at run time)
    make: Callable[[Iterable[Any]], Any] = kind._make
    return make


_EPIC_ROW: Final = _rows(epics)
_TASK_ROW: Final = _rows(tasks)
_ATTEMPT_ROW: Final = _rows(attempts)
_TASKS_FROM: Final = len(epics.c) + 1
_ATTEMPTS_FROM: Final = _TASKS_FROM + len(tasks.c)


def read_changed(
    connection: sa.Connection, head: Head, names: Collection[str] | None, keys: Collection[tuple[str, str]]
) -> tuple[list[pb.Epic], list[pb.Task]]:
    """Returns the epics with these names, and the tasks given as (epic, task), whose epics must be among them.

    None: all epics with all tasks. In the order of the plan. One statement.
    """
    of_run = {"of_run": RunName.parse(head.run.name).run}
    if names is None:
        found = connection.execute(_ALL, of_run)
    elif names:
        found = connection.execute(_SOME, of_run | {"epics": list(names), "tasks": list(keys)})
    else:
        return [], []
    changed_epics: dict[str, pb.Epic] = {}
    changed_tasks: list[pb.Task] = []
    for row in found:
        epic = _EPIC_ROW(row[: len(epics.c)])
        if epic.epic not in changed_epics:
            used = [*([epic.usage] if epic.usage else ()), *head.live.get(epic.epic, ())]
            counts = _counts(row[len(epics.c)])
            changed_epics[epic.epic] = epic_of(epic, head.worker, counts, _total(used))
        task = _TASK_ROW(row[_TASKS_FROM:_ATTEMPTS_FROM])
        if task.task is not None:
            attempt = _ATTEMPT_ROW(row[_ATTEMPTS_FROM:])
            changed_tasks.append(task_of(task, attempt_of(attempt) if attempt.number is not None else None))
    return list(changed_epics.values()), changed_tasks
