"""Stores the plans that a run was given. Rows are only added."""

import json
from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, not_found
from heddle.names import RunName
from scheduler_svc.store.db.plan_tables import plans
from scheduler_svc.store.db.times import timestamp


def insert(
    connection: sa.Connection,
    run: RunName,
    revision: int,
    plan: pb.Plan,
    *,
    text: str = "",
    inputs: Mapping[str, str] = MappingProxyType({}),
    draft: str = "",
    actor: str,
    now: int,
) -> None:
    """Adds the next plan of a run; raises PLAN_CHANGED if another one was added at the same time.

    `draft` is the id of the draft that it comes from; empty if there is none.
    """
    row = {
        "run": run.run,
        "revision": revision,
        "plan": plan.SerializeToString(),
        "text": text,
        "inputs": json.dumps(dict(inputs)),
        "draft": draft,
        "actor": actor,
        "created_at": now,
    }
    try:
        connection.execute(sa.insert(plans), row)
    except sa.exc.IntegrityError as error:
        raise HeddleError(
            pb.ERROR_REASON_PLAN_CHANGED,
            f"the plan of {run} was changed by someone else at the same time; look at it and try again",
            revision=revision,
        ) from error


def read(connection: sa.Connection, run: RunName, revision: int = 0) -> pb.GetPlanResponse:
    """Returns a plan of a run, the newest one for revision 0; raises NOT_FOUND."""
    chosen = sa.select(plans).where(plans.c.run == run.run).order_by(plans.c.revision.desc()).limit(1)
    if revision:
        chosen = chosen.where(plans.c.revision == revision)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise not_found(f"revision {revision} of the plan of {run}" if revision else run)
    return pb.GetPlanResponse(
        plan=pb.Plan.FromString(row.plan),
        text=row.text,
        inputs=json.loads(row.inputs),
        revision=row.revision,
        actor=row.actor,
        create_time=timestamp(row.created_at),
    )


def draft_of(connection: sa.Connection, run: str) -> str:
    """Returns the id of the draft that the first plan of a run comes from; empty if there is none."""
    chosen = sa.select(plans.c.draft).where(plans.c.run == run, plans.c.revision == 1)
    return connection.execute(chosen).scalar_one_or_none() or ""
