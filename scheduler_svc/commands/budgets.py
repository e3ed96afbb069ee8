"""A budget that an operator gives to a run, or to an epic or task of it."""

from typing import NamedTuple, Self

from heddle import pb
from heddle.errors import invalid_field, not_found
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.rows import epics, runs, tasks


class NewBudget(NamedTuple):
    """How many micros all of `name` may cost."""

    name: RunName | EpicName | TaskName
    micros: int

    @classmethod
    def of(cls, request: pb.ResumeRunRequest) -> Self | None:
        """Returns what a request asks for, None if it asks for none; raises INVALID_FIELD."""
        if not request.HasField("budget_usd_micros"):
            if request.budget_of:
                raise invalid_field("budget_usd_micros", f"say what {request.budget_of} may cost")
            return None
        if request.budget_usd_micros < 1:
            raise invalid_field("budget_usd_micros", "must be more than 0")
        run = RunName.parse(request.name)
        name = _parsed(request.budget_of) if request.budget_of else run
        if name.run != run.run:
            raise invalid_field("budget_of", f"{request.budget_of} is not of {run}")
        return cls(name, request.budget_usd_micros)


def set_budget(connection: Connection, budget: NewBudget) -> None:
    """Replaces what the run, epic or task may cost; raises NOT_FOUND."""
    match budget.name:
        case TaskName():
            known = tasks.change(connection, budget.name, budget_micros=budget.micros)
        case EpicName():
            known = epics.change(connection, budget.name, budget_micros=budget.micros)
        case RunName():
            known = runs.change(connection, budget.name, budget_micros=budget.micros)
    if not known:
        raise not_found(budget.name)


def _parsed(name: str) -> EpicName | TaskName:
    return TaskName.parse(name) if "/tasks/" in name else EpicName.parse(name)
