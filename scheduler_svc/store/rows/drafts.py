"""Stores what the agents of drafts are asked for and hand over. Rows are only added."""

from typing import NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import AttemptName, RunName
from scheduler_svc.store.db.plan_tables import draft_requests, drafts
from scheduler_svc.store.db.tables import runs


class Asked(NamedTuple):
    """What a draft was asked for."""

    request: pb.DraftPlanRequest
    # The revision of the run's plan that its agent was given first. 0: it changes no run's plan.
    revision: int


def insert_request(
    connection: sa.Connection, run: RunName, request: pb.DraftPlanRequest, revision: int
) -> None:
    """Adds what a new draft is asked for."""
    row = {"run": run.run, "request": request.SerializeToString(), "revision": revision}
    connection.execute(sa.insert(draft_requests), row)


def asked(connection: sa.Connection, run: str) -> Asked | None:
    """Returns what a draft was asked for; None if it is not known, or the run is not a draft."""
    chosen = sa.select(draft_requests).where(draft_requests.c.run == run)
    row = connection.execute(chosen).one_or_none()
    return None if row is None else Asked(pb.DraftPlanRequest.FromString(row.request), row.revision)


def project_of(connection: sa.Connection, run: str) -> str:
    """Returns the project of a draft; empty if there is no such draft."""
    chosen = sa.select(runs.c.project).where(runs.c.run == run, runs.c.draft)
    return connection.execute(chosen).scalar_one_or_none() or ""


def insert(connection: sa.Connection, attempt: AttemptName, draft: pb.Draft) -> None:
    """Adds what a live attempt handed over."""
    row = {"run": attempt.run, "number": attempt.number, "draft": draft.SerializeToString()}
    connection.execute(sa.insert(drafts), row)


def listed(connection: sa.Connection, run: str) -> list[pb.Draft]:
    """Returns everything that was handed over in a run, the newest last."""
    chosen = sa.select(drafts.c.draft).where(drafts.c.run == run).order_by(drafts.c.number)
    return [pb.Draft.FromString(draft) for draft in connection.execute(chosen).scalars()]


def read(connection: sa.Connection, run: RunName) -> pb.Draft:
    """Returns the newest valid draft of a run, or else the newest one; raises NOT_FOUND if the run is not a draft."""
    is_draft = connection.execute(sa.select(runs.c.draft).where(runs.c.run == run.run)).scalar_one_or_none()
    if not is_draft:
        raise not_found(run if is_draft is None else f"draft of {run}")
    found = listed(connection, run.run)
    newest = next((each for each in reversed(found) if not each.problems), found[-1] if found else pb.Draft())
    newest.handovers = len(found)
    request = asked(connection, run.run)
    if request and request.request.HasField("revises"):
        newest.revises.CopyFrom(request.request.revises)
        newest.revises.ClearField("plan")
    return newest
