"""Stores what the agents of drafts hand over. Rows are only added."""

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import AttemptName, RunName
from scheduler_svc.store.db.plan_tables import drafts
from scheduler_svc.store.db.tables import runs


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
    return newest
