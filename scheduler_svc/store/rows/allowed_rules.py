"""What operators allow for the rest of a run when they answer a question."""

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.store.db.tables import runs, tasks


def take(connection: sa.Connection, attempt: AttemptName, said: pb.ApprovalResolved) -> None:
    """Has every session of the run that begins later follow an answer's rule, where that is for the run.

    Idempotent. Tasks that are added later get it from the plan.
    """
    if said.scope != pb.APPROVAL_SCOPE_RUN or not said.rule:
        return
    of_run = runs.c.run == attempt.run
    plan = pb.Plan.FromString(connection.execute(sa.select(runs.c.plan).where(of_run)).scalar_one())
    if said.rule in plan.defaults.permissions.allow:
        return
    plan.defaults.permissions.allow.append(said.rule)
    connection.execute(sa.update(runs).where(of_run).values(plan=plan.SerializeToString()))
    chosen = sa.select(tasks.c.epic, tasks.c.task, tasks.c.spec).where(tasks.c.run == attempt.run)
    for row in connection.execute(chosen).all():
        spec = pb.PlanTask.FromString(row.spec)
        spec.permissions.allow.append(said.rule)
        own = (tasks.c.run == attempt.run, tasks.c.epic == row.epic, tasks.c.task == row.task)
        connection.execute(sa.update(tasks).where(*own).values(spec=spec.SerializeToString()))
