"""Sets the budget of a run, epic or task, and checks that a budget can stop an agent."""

from functools import partial
from typing import NamedTuple, Self

from heddle import pb
from heddle.errors import invalid_field, not_found
from heddle.names import EpicName, RunName, TaskName
from heddle.plan.validation.budget_rules import stoppable_agents
from scheduler_svc.commands.runs.candidates import check_whole
from scheduler_svc.commands.workers.fleet_offers import programs_for
from scheduler_svc.model.sessions.agent_availability import check_available, check_form, without_limit
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.queries.task_specs import last_spec, open_specs
from scheduler_svc.store.rows import epics, runs, tasks


class NewBudget(NamedTuple):
    """The amount that `name` may cost in total, in micros."""

    name: RunName | EpicName | TaskName
    micros: int

    @classmethod
    def of(cls, request: pb.ResumeRunRequest) -> Self | None:
        """Returns the budget of a request, None if it has none; raises INVALID_FIELD."""
        if not request.HasField("budget_usd_micros"):
            if request.budget_of:
                raise invalid_field("budget_usd_micros", f"say what {request.budget_of} may cost")
            return None
        if request.budget_usd_micros < 1:
            raise invalid_field("budget_usd_micros", "must be greater than 0")
        run = RunName.parse(request.name)
        name = _parsed(request.budget_of) if request.budget_of else run
        if name.run != run.run:
            raise invalid_field("budget_of", f"{request.budget_of} is not of {run}")
        return cls(name, request.budget_usd_micros)


def set_budget(connection: Connection, budget: NewBudget) -> None:
    """Replaces the budget of the run, epic or task; raises NOT_FOUND."""
    match budget.name:
        case TaskName():
            check_whole(budget.name)
            known = tasks.try_change(connection, budget.name, budget_micros=budget.micros)
        case EpicName():
            known = epics.try_change(connection, budget.name, budget_micros=budget.micros)
        case RunName():
            known = runs.try_change(connection, budget.name, budget_micros=budget.micros)
    if not known:
        raise not_found(budget.name)


async def check_budget(database: Database, workers: Workers, budget: NewBudget) -> None:
    """Raises INVALID_FIELD if a task that has not ended has an agent that the budget cannot stop."""
    found = await database.read(partial(open_specs, name=budget.name))
    for home, task, spec in found:
        programs = programs_for(workers, home)
        if without_limit(str(task), spec, str(budget.name), programs):
            raise invalid_field(
                "budget_usd_micros",
                f"{_unstoppable(task, spec.agent)}; skip it first, or retry"
                f" it with an agent that a budget can stop, such as {stoppable_agents()}",
            )


async def check_agent(
    database: Database, workers: Workers, name: TaskName | EpicName, agent: str, project_budget: int | None
) -> None:
    """Raises UNKNOWN_AGENT if no worker of the run can start the agent, INVALID_FIELD if no budget can stop it.

    `name` is the agent's task, or the epic whose conflict the agent is to resolve.
    """
    home, spec, budgets = await database.read(partial(last_spec, name=name))
    programs = programs_for(workers, home)
    check_form(agent, programs)
    check_available(agent, str(name), programs)
    spec.agent = agent
    is_limited = any(each is not None for each in (*budgets, project_budget))
    if is_limited and without_limit(str(name), spec, "its budget", programs):
        raise invalid_field(
            "agent",
            f"{_unstoppable(name, agent)}; use one that a budget can stop, such as {stoppable_agents()}",
        )


def _unstoppable(name: TaskName | EpicName, agent: str) -> str:
    return (
        f"{name} has no timeout, and its agent {agent!r} does not report what it uses while it works: no budget"
        " could stop it"
    )


def _parsed(name: str) -> EpicName | TaskName:
    return TaskName.parse(name) if "/tasks/" in name else EpicName.parse(name)
