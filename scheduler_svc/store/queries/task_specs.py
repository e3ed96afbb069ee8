"""Reads the specifications of tasks, with their workers and budgets."""

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.model.home import Home
from scheduler_svc.model.lifecycle.states import OPEN_TASK
from scheduler_svc.store.db.tables import EPIC_OF_TASK, IS_WHOLE, epics, runs, tasks
from scheduler_svc.store.queries.resources import is_epic, is_task


def open_specs(
    connection: sa.Connection, name: RunName | EpicName | TaskName
) -> list[tuple[Home, TaskName, pb.PlanTask]]:
    """Returns the tasks of `name` that have not ended, each with the home of its run."""
    match name:
        case TaskName():
            chosen = is_task(name)
        case EpicName():
            chosen = (tasks.c.run == name.run, tasks.c.epic == name.epic)
        case RunName():
            chosen = (tasks.c.run == name.run,)
    columns = sa.select(
        runs.c.project, runs.c.worker, runs.c.served, tasks.c.epic, tasks.c.task, tasks.c.spec
    )
    rows = connection.execute(
        columns.where(*chosen, runs.c.run == tasks.c.run, tasks.c.state.in_(OPEN_TASK))
    ).all()
    return [
        (
            Home(row.project, row.worker, row.served),
            RunName(name.run).epic(row.epic).task(row.task),
            pb.PlanTask.FromString(row.spec),
        )
        for row in rows
    ]


def last_spec(
    connection: sa.Connection, name: TaskName | EpicName
) -> tuple[Home, pb.PlanTask, tuple[int | None, ...]]:
    """Returns a task, or the last one of an epic: its run's home and the budgets above it; raises NOT_FOUND."""
    chosen = (
        is_task(name) if isinstance(name, TaskName) else (tasks.c.run == name.run, tasks.c.epic == name.epic)
    )
    row = connection.execute(
        sa.select(
            runs.c.project,
            runs.c.worker,
            runs.c.served,
            tasks.c.spec,
            tasks.c.budget_micros,
            epics.c.budget_micros.label("of_epic"),
            runs.c.budget_micros.label("of_run"),
        )
        .where(*chosen, IS_WHOLE, EPIC_OF_TASK, runs.c.run == tasks.c.run)
        .order_by(tasks.c.position.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        raise not_found(name)
    # A task that resolves a conflict has no budget of its own.
    own = row.budget_micros if isinstance(name, TaskName) else None
    home = Home(row.project, row.worker, row.served)
    return home, pb.PlanTask.FromString(row.spec), (own, row.of_epic, row.of_run)


def agent_kinds(connection: sa.Connection, name: EpicName) -> frozenset[str]:
    """Returns the kinds of the agents that work, review or choose in an epic, each without its argument."""
    chosen = sa.select(tasks.c.spec).where(
        *is_epic(name), tasks.c.run == epics.c.run, tasks.c.epic == epics.c.epic
    )
    specs = [pb.PlanTask.FromString(spec) for spec in connection.execute(chosen).scalars()]
    agents = [
        agent
        for each in specs
        for agent in (each.agent, each.choose.agent, *(review.agent for review in each.reviews))
    ]
    return frozenset(agent.partition(":")[0] for agent in agents if agent)
