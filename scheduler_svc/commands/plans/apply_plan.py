"""Replaces the plan of a run: checks the new one first, then writes what differs in one transaction."""

import asyncio
from functools import partial

from heddle import pb
from heddle.errors import invalid_field
from heddle.identity.principals import Call
from heddle.names import EpicName, RunName, run_or_epic
from heddle.plan import rules
from heddle.plan.validation import budget_rules
from scheduler_svc.commands.plans.plan_changes import Comparison, apply, compare, past_difference
from scheduler_svc.commands.plans.skip_failed import skip_failed
from scheduler_svc.commands.runs.create_run import CHECKER, refuse_if
from scheduler_svc.commands.workers.fleet_offers import programs_for, remark, unplaceable
from scheduler_svc.model.home import Home
from scheduler_svc.model.sessions.agent_availability import check_all_available, without_limit
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.rows import plans, runs
from scheduler_svc.store.rows.callers import requests


async def apply_plan(
    database: Database,
    workers: Workers,
    request: pb.ApplyPlanRequest,
    call: Call,
    now: int,
    *,
    project_budget: int | None = None,
) -> pb.ApplyPlanResponse:
    """Returns the difference that was applied, or that this request_id applied. `project_budget` is in micros."""
    name = RunName.parse(request.name)
    before = await database.read(lambda connection: requests.recall(connection, request.request_id, request))
    if before:
        return await database.read(partial(_answer, name=name, made=before))
    refuse_if(rules.oversized(request.plan))
    loop = asyncio.get_running_loop()
    refuse_if(await loop.run_in_executor(CHECKER, rules.violations, request.plan))
    scope = _scope(name, request.skip_failed_of)
    found = await database.read(
        partial(compare, name=name, plan=request.plan, revision=request.revision, skips=scope)
    )
    _check_agents(found, workers, "" if project_budget is None else budget_rules.PROJECT_BUDGET)
    if request.validate_only:
        return pb.ApplyPlanResponse(
            difference=pb.PlanDifference(changes=found.changes), revision=found.revision
        )

    def work(connection: Connection) -> object:
        if scope is not None:
            skip_failed(connection, scope, call.principal.name, now)
        # The run may have continued since.
        current = compare(connection, name, request.plan, request.revision)
        revision = apply(connection, current, request, call.principal.name, now)
        why = current.run.not_served
        said = remark(request.plan, _home(current), why, has_pods=workers.pool is not None)
        runs.change(connection, name, remark=said)
        return f"{name}/plans/{revision}" if current.changes else name

    write = partial(requests.once, request=request, work=work, call=call, now=now)
    made = await database.submit(write, LOOP, str(name))
    return await database.read(partial(_answer, name=name, made=made))


def _scope(name: RunName, text: str) -> RunName | EpicName | None:
    """Returns whose failed tasks are to be skipped; raises INVALID_FIELD if they are not of the run."""
    if not text:
        return None
    scope = run_or_epic(text)
    if scope.run != name.run:
        raise invalid_field("skip_failed_of", f"{text} is not {name} or an epic of it")
    return scope


def _answer(connection: Connection, name: RunName, made: str) -> pb.ApplyPlanResponse:
    """Returns what a request did that made this revision; if `made` is the run, it changed nothing."""
    revision = int(made.rpartition("/plans/")[2]) if made != str(name) else 0
    return pb.ApplyPlanResponse(
        difference=past_difference(connection, name, revision),
        revision=revision or plans.read(connection, name).revision,
    )


def _home(found: Comparison) -> Home:
    return Home(found.run.project, found.run.worker, found.run.served)


def _check_agents(found: Comparison, workers: Workers, project_budget: str) -> None:
    """Raises if the run's worker cannot start an agent of a changed task, or no limit could stop it."""
    home = _home(found)
    refuse_if(list(unplaceable(found.after, home, found.run.not_served)))
    new = found.new_tasks()
    if not new:
        return
    programs = programs_for(workers, home)
    mistakes = []
    places = {epic.key: place for place, epic in enumerate(found.after.epics)}
    for epic, task in new:
        check_all_available(task, f"task {epic.key}/{task.key}", programs)
        place = next(index for index, each in enumerate(epic.tasks) if each.key == task.key)
        path = f"epics[{places[epic.key]}].tasks[{place}]"
        budget = budget_rules.budget_of(found.after, epic, task) or project_budget
        mistakes += without_limit(path, task, budget, programs)
    refuse_if(mistakes)
