"""Stores the rules that operators allow for the rest of a run when they answer a question."""

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.rows import runs, tasks


def take(connection: sa.Connection, attempt: AttemptName, said: pb.ApprovalResolved) -> None:
    """Applies an answer's rule to every later session of the run, if the rule is for the run. Idempotent.

    Tasks that are added later get the rule from the plan.
    """
    if said.scope != pb.APPROVAL_SCOPE_RUN or not said.rule:
        return
    run = attempt.parent.parent.parent
    chosen_plan = sa.select(runs_table.c.plan).where(runs_table.c.run == run.run)
    plan = pb.Plan.FromString(connection.execute(chosen_plan).scalar_one())
    if said.rule in plan.defaults.permissions.allow:
        return
    plan.defaults.permissions.allow.append(said.rule)
    runs.change(connection, run, plan=plan.SerializeToString())
    columns = (tasks_table.c.epic, tasks_table.c.task, tasks_table.c.spec)
    chosen = sa.select(*columns).where(tasks_table.c.run == run.run)
    for row in connection.execute(chosen).all():
        spec = pb.PlanTask.FromString(row.spec)
        spec.permissions.allow.append(said.rule)
        tasks.change(connection, run.epic(row.epic).task(row.task), spec=spec.SerializeToString())
