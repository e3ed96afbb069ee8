"""A budget that an operator gives to a run, or to an epic or task of it, and an agent that is to work below one."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import sqlalchemy as sa

from heddle import pb
from heddle.errors import invalid_field, not_found
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.model.agent_availability import check_available, check_form, without_limit
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.tables import epics, runs, tasks
from scheduler_svc.store.queries.resources import is_epic, is_task


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


def set_budget(connection: sa.Connection, budget: NewBudget) -> None:
    """Replaces what the run, epic or task may cost; raises NOT_FOUND."""
    match budget.name:
        case TaskName():
            change = sa.update(tasks).where(*is_task(budget.name))
        case EpicName():
            change = sa.update(epics).where(*is_epic(budget.name))
        case RunName():
            change = sa.update(runs).where(runs.c.run == budget.name.run)
    if not connection.execute(change.values(budget_micros=budget.micros)).rowcount:
        raise not_found(budget.name)


async def check_budget(database: Database, workers: Workers, budget: NewBudget) -> None:
    """Raises INVALID_FIELD where the budget could not stop the agent of a task that is not over."""
    found = await database.read(partial(_open_specs, name=budget.name))
    for worker, task, spec in found:
        programs = workers.get(worker).state.agents
        if without_limit(str(task), spec, str(budget.name), programs):
            raise invalid_field(
                "budget_usd_micros",
                f"{_unstoppable(task, spec.agent)}; skip it first, or retry"
                " it with an agent that a budget can stop, as claude or codex",
            )


async def check_agent(
    database: Database, workers: Workers, name: TaskName | EpicName, agent: str, project_budget: int | None
) -> None:
    """Raises UNKNOWN_AGENT unless the run's worker can start the agent, and INVALID_FIELD where no budget stops it.

    `name` is the task that it is to do, or the epic whose conflict it is to resolve.
    """
    worker, spec, budgets = await database.read(partial(_last_spec, name=name))
    programs: Sequence[pb.AgentProgram] = workers.get(worker).state.agents
    check_form(agent, programs)
    check_available(agent, str(name), programs)
    spec.agent = agent
    is_limited = any(each is not None for each in (*budgets, project_budget))
    if is_limited and without_limit(str(name), spec, "its budget", programs):
        raise invalid_field(
            "agent", f"{_unstoppable(name, agent)}; use one that a budget can stop, as claude or codex"
        )


def _unstoppable(name: TaskName | EpicName, agent: str) -> str:
    return (
        f"{name} has no timeout, and its agent {agent!r} does not report what it uses while it works: no budget"
        " could stop it"
    )


_OVER = frozenset({pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED})


def _open_specs(
    connection: sa.Connection, name: RunName | EpicName | TaskName
) -> list[tuple[str, TaskName, pb.PlanTask]]:
    """Returns the tasks of `name` that are not over, each with its worker."""
    match name:
        case TaskName():
            chosen = is_task(name)
        case EpicName():
            chosen = (tasks.c.run == name.run, tasks.c.epic == name.epic)
        case RunName():
            chosen = (tasks.c.run == name.run,)
    columns = sa.select(runs.c.worker, tasks.c.epic, tasks.c.task, tasks.c.spec)
    rows = connection.execute(
        columns.where(*chosen, runs.c.run == tasks.c.run, tasks.c.state.not_in(_OVER))
    ).all()
    return [
        (row.worker, RunName(name.run).epic(row.epic).task(row.task), pb.PlanTask.FromString(row.spec))
        for row in rows
    ]


def _last_spec(
    connection: sa.Connection, name: TaskName | EpicName
) -> tuple[str, pb.PlanTask, tuple[int | None, ...]]:
    """Returns a task, or the last one of an epic: its worker and the budgets above it; raises NOT_FOUND."""
    chosen = (
        is_task(name) if isinstance(name, TaskName) else (tasks.c.run == name.run, tasks.c.epic == name.epic)
    )
    row = connection.execute(
        sa.select(
            runs.c.worker,
            tasks.c.spec,
            tasks.c.budget_micros,
            epics.c.budget_micros.label("of_epic"),
            runs.c.budget_micros.label("of_run"),
        )
        .where(
            *chosen,
            epics.c.run == tasks.c.run,
            epics.c.epic == tasks.c.epic,
            runs.c.run == tasks.c.run,
        )
        .order_by(tasks.c.position.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        raise not_found(name)
    # What resolves a conflict has no budget of its own.
    own = row.budget_micros if isinstance(name, TaskName) else None
    return row.worker, pb.PlanTask.FromString(row.spec), (own, row.of_epic, row.of_run)


def _parsed(name: str) -> EpicName | TaskName:
    return TaskName.parse(name) if "/tasks/" in name else EpicName.parse(name)
