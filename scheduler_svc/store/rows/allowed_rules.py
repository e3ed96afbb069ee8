"""Stores the rules that operators allow for the rest of a run when they answer a question."""

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName, TaskName
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.db.times import timestamp
from scheduler_svc.store.rows import runs, tasks


def granted(column: bytes | None) -> Sequence[pb.GrantedPermission]:
    """Returns what a row of a run says was granted in it."""
    return pb.Run.FromString(column or b"").granted_permissions


def not_in(column: bytes | None, plan: pb.Plan) -> bytes | None:
    """Returns the column without what the plan now allows itself."""
    own = plan.defaults.permissions.allow
    return _column(each for each in granted(column) if each.rule not in own)


def take(
    connection: sa.Connection, attempt: AttemptName, said: pb.ApprovalResolved, actor: str, now: int
) -> None:
    """Applies an answer's rule to every later session of the run, if the rule is for the run. Idempotent.

    Tasks that are added later get the rule from the plan.
    """
    if said.scope != pb.APPROVAL_SCOPE_RUN or not said.rule:
        return
    run = attempt.parent.parent.parent
    plan, before = _read(connection, run)
    if said.rule not in plan.defaults.permissions.allow:
        plan.defaults.permissions.allow.append(said.rule)
        made = pb.GrantedPermission(rule=said.rule, actor=actor, grant_time=timestamp(now))
        column = _column([*before, made])
        runs.change(connection, run, plan=plan.SerializeToString(), granted=column)
    # A task that started before the plan allowed it does not have it yet.
    for name, spec in _specs(connection, run):
        if said.rule not in spec.permissions.allow:
            spec.permissions.allow.append(said.rule)
            tasks.change(connection, name, spec=spec.SerializeToString())


def take_back(connection: sa.Connection, run: RunName, rule: str, keeps: Callable[[TaskName], bool]) -> None:
    """Removes a granted rule from the run and from its tasks, except those that keep it."""
    plan, before = _read(connection, run)
    _remove(plan.defaults.permissions, rule)
    column = _column(each for each in before if each.rule != rule)
    runs.change(connection, run, plan=plan.SerializeToString(), granted=column)
    for name, spec in _specs(connection, run):
        if rule in spec.permissions.allow and not keeps(name):
            _remove(spec.permissions, rule)
            tasks.change(connection, name, spec=spec.SerializeToString())


def _read(connection: sa.Connection, run: RunName) -> tuple[pb.Plan, Sequence[pb.GrantedPermission]]:
    """Returns the plan of a run as its sessions have it, and what was granted in the run."""
    chosen = sa.select(runs_table.c.plan, runs_table.c.granted).where(runs_table.c.run == run.run)
    row = connection.execute(chosen).one()
    return pb.Plan.FromString(row.plan), granted(row.granted)


def _remove(permissions: pb.Permissions, rule: str) -> None:
    permissions.allow[:] = [each for each in permissions.allow if each != rule]


def _specs(connection: sa.Connection, run: RunName) -> list[tuple[TaskName, pb.PlanTask]]:
    """Returns all tasks of a run, with those that resolve conflicts and the candidates."""
    columns = (tasks_table.c.epic, tasks_table.c.task, tasks_table.c.spec)
    rows = connection.execute(sa.select(*columns).where(tasks_table.c.run == run.run)).all()
    return [(run.epic(row.epic).task(row.task), pb.PlanTask.FromString(row.spec)) for row in rows]


def _column(permissions: Iterable[pb.GrantedPermission]) -> bytes | None:
    return pb.Run(granted_permissions=permissions).SerializeToString() or None
