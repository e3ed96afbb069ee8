"""Keeps running totals of what attempts have used: by epic, run and project.

They contain the attempts that have ended, each added in the transaction that ends it; what live attempts have used
so far is added by the readers. Only the leader ends attempts, one transaction after another, so no total is lost.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName
from scheduler_svc.model.sessions.usage import total
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.statements import of, this
from scheduler_svc.store.db.tables import epics as epics_table
from scheduler_svc.store.db.tables import project_totals
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.rows import epics, runs

_RUN: Final = sa.select(runs_table.c.usage, runs_table.c.project).where(*this(runs_table))
_EPIC: Final = sa.select(epics_table.c.usage).where(*this(epics_table))

_PROJECT: Final = sa.select(project_totals.c.project).where(*this(project_totals))
_INSERT: Final = sa.insert(project_totals)
_ADD: Final = (
    sa.update(project_totals)
    .where(*this(project_totals))
    .values(
        cost_micros=project_totals.c.cost_micros + sa.bindparam("cost"),
        accepted_micros=project_totals.c.accepted_micros + sa.bindparam("accepted"),
        accepted_count=project_totals.c.accepted_count + sa.bindparam("count"),
    )
)


class Used(NamedTuple):
    """What an attempt that ends has used."""

    attempt: AttemptName
    # pb.UsageTotals, serialized. Empty: nothing.
    usage: bytes
    cost_micros: int
    accepted: bool


def add(connection: sa.Connection, ended: Iterable[Used]) -> None:
    """Adds attempts to the totals, in the transaction that ends them. Attempts that have used nothing cost nothing."""
    used = [each for each in ended if each.usage or each.cost_micros]
    if not used:
        return
    of_epic: dict[EpicName, list[pb.UsageTotals]] = {}
    for each in used:
        usage = pb.UsageTotals.FromString(each.usage)
        of_epic.setdefault(each.attempt.parent.parent, []).append(usage)
    of_run: dict[RunName, list[pb.UsageTotals]] = {}
    for epic, parts in of_epic.items():
        of_run.setdefault(epic.parent, []).extend(parts)
    found = pipeline.fetch(
        connection, [*((_RUN, of(run)) for run in of_run), *((_EPIC, of(epic)) for epic in of_epic)]
    )
    projects: dict[str, str] = {}
    for run, (row,) in zip(of_run, found[: len(of_run)], strict=True):
        projects[run.run] = row.project
        runs.change(connection, run, usage=_sum(row, of_run[run]))
    for epic, (row,) in zip(of_epic, found[len(of_run) :], strict=True):
        epics.change(connection, epic, usage=_sum(row, of_epic[epic]))
    for project in sorted(set(projects.values())):
        _add_to_project(connection, project, [each for each in used if projects[each.attempt.run] == project])


def _sum(row: Any, parts: Iterable[pb.UsageTotals]) -> bytes:
    return total([pb.UsageTotals.FromString(row.usage or b""), *parts]).SerializeToString()


def _add_to_project(connection: sa.Connection, project: str, used: Iterable[Used]) -> None:
    costs = [(each.cost_micros, each.accepted) for each in used if each.cost_micros]
    if not costs:
        return
    accepted = [cost for cost, is_accepted in costs if is_accepted]
    key = {"of_project": project}
    if not pipeline.fetch(connection, [(_PROJECT, key)])[0]:
        pipeline.later(connection, _INSERT, {"project": project})
    amounts = {
        "cost": sum(cost for cost, _ in costs),
        "accepted": sum(accepted),
        "count": len(accepted),
    }
    pipeline.later(connection, _ADD, {**key, **amounts}, required=True)
