"""Adds a task to an epic of a run, even if the run has ended."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from heddle import pb
from heddle.errors import invalid_field, invalid_plan, not_found
from heddle.identity.principals import Call
from heddle.names import KEY, EpicName, TaskName
from heddle.plan import rules
from heddle.plan.graphs.analysis import priority
from heddle.plan.validation import budget_rules
from scheduler_svc.commands.runs.create_run import task_row
from scheduler_svc.commands.runs.reopen import check_reopenable, is_closed, reopen_task
from scheduler_svc.commands.workers.fleet_offers import programs_for
from scheduler_svc.model.home import Home
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.model.plans.draft_words import not_for_drafts
from scheduler_svc.model.plans.plan_defaults import resolved_tasks
from scheduler_svc.model.run_ids import slug
from scheduler_svc.model.sessions.agent_availability import check_all_available, without_limit
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import epic_row, run_row, task_rows
from scheduler_svc.store.queries.resources import get_task
from scheduler_svc.store.rows import plans, runs, tasks
from scheduler_svc.store.rows.callers import requests

# Maximum length of a title that is derived from a prompt.
_TITLE: Final = 80

_STOPPING: Final = frozenset({pb.ON_FAILURE_STOP_EPIC, pb.ON_FAILURE_STOP_RUN})


@dataclass(frozen=True)
class _Draft:
    """A task as it would run, except for its key, and the worker that would run it."""

    spec: pb.PlanTask
    # The same as it would be written in the plan, except for its key.
    written: pb.PlanTask
    home: Home
    # The budget that applies to it. Empty: none.
    budget: str


async def add_task(
    database: Database,
    workers: Workers,
    request: pb.AddTaskRequest,
    call: Call,
    now: int,
    *,
    project_budget: int | None = None,
) -> pb.Task:
    """Returns the new task, or the task that this request_id already added. `project_budget` is in micros."""
    epic = EpicName.parse(request.parent)
    before = await database.read(lambda connection: requests.recall(connection, request.request_id, request))
    if before:
        return await _read(database, before)
    draft = await database.read(partial(_draft, epic=epic, asked=request.task))
    programs = programs_for(workers, draft.home)
    check_all_available(draft.spec, "the task", programs)
    budget = draft.budget or ("" if project_budget is None else budget_rules.PROJECT_BUDGET)
    if mistakes := without_limit("task", draft.spec, budget, programs):
        raise invalid_plan(mistakes)

    work = partial(_write, epic=epic, draft=draft, actor=call.principal.name, now=now)
    write = partial(requests.once, request=request, work=work, call=call, now=now)
    return await _read(database, await database.submit(write, LOOP, str(epic.parent)))


async def _read(database: Database, name: str) -> pb.Task:
    return await database.read(partial(get_task, name=TaskName.parse(name)))


def _draft(connection: Connection, epic: EpicName, asked: pb.PlanTask) -> _Draft:
    """Fills in missing fields from the plan, and agent and model from the epic's last task."""
    rows = task_rows(connection, epic)
    if not rows:
        raise not_found(epic)
    run = run_row(connection, epic.parent)
    if run.draft:
        raise not_for_drafts(epic.parent, "start its plan, then add tasks to that run")
    plan = pb.Plan.FromString(run.plan)
    planned = next(each for each in plan.epics if each.key == epic.epic)
    last = pb.PlanTask.FromString(rows[-1].spec)
    spec = pb.PlanTask()
    spec.CopyFrom(asked)
    if not spec.agent:
        spec.agent = last.agent
        spec.model = spec.model or last.model
    spec.title = spec.title or spec.key or title_of(spec.prompt)
    mistakes = rules.task_violations(spec, plan.defaults)
    if mistakes:
        raise invalid_plan(mistakes)
    # Also in the order of the plan, it comes last.
    if (last_priority := max(map(priority, planned.tasks))) > priority(spec):
        spec.priority = last_priority
    del planned.tasks[:]
    planned.tasks.append(spec)
    resolved = resolved_tasks(planned, plan.defaults, "")[0]
    home = Home(run.project, run.worker, run.served)
    return _Draft(resolved, spec, home, budget_rules.budget_of(plan, planned, resolved))


def _write(connection: Connection, epic: EpicName, draft: _Draft, actor: str, now: int) -> TaskName:
    check_reopenable(connection, epic)
    rows = task_rows(connection, epic)
    _check_not_stopped(connection, epic, rows)
    spec, written = draft.spec, draft.written
    spec.key = written.key = _key(spec, {row.task.lower() for row in rows})
    name = epic.task(spec.key)
    position = max(row.position for row in rows) + 1
    _note_in_plan(connection, epic, written, actor, now)
    tasks.insert(connection, [task_row(epic, position, spec)])
    added = pb.TaskAdded(title=spec.title, position=position)
    append(connection, [event(name, actor, task_added=added)], now)
    if is_closed(connection, epic):
        reopen_task(connection, name, actor, now)
    return name


def _note_in_plan(connection: Connection, epic: EpicName, written: pb.PlanTask, actor: str, now: int) -> None:
    """Adds the task to the plan of the run, which gets a new revision."""
    run = epic.parent
    newest = plans.read(connection, run)
    effective = pb.Plan.FromString(run_row(connection, run).plan)
    for plan in (newest.plan, effective):
        next(each for each in plan.epics if each.key == epic.epic).tasks.append(written)
    plans.insert(connection, run, newest.revision + 1, newest.plan, actor=actor, now=now)
    runs.change(connection, run, plan=effective.SerializeToString())


def _check_not_stopped(connection: Connection, epic: EpicName, rows: Collection[Any]) -> None:
    """Raises WRONG_STATE if the epic would skip the task immediately."""
    failed = next((row.task for row in rows if row.state == pb.TASK_STATE_FAILED), None)
    row = epic_row(connection, epic)
    if failed and row.on_failure in _STOPPING:
        advice = f"its task {failed} failed, which stops it; retry or skip that task first"
        raise wrong_state(epic, pb.EpicState.Name(row.state), advice)


def _key(spec: pb.PlanTask, taken: Collection[str]) -> str:
    """Returns the requested key, or one derived from the title; raises INVALID_FIELD if it is taken."""
    if spec.key:
        if not KEY.fullmatch(spec.key):
            raise invalid_field("task.key", "takes letters, digits, - and _, the first a letter or digit")
        if spec.key.lower() in taken:
            raise invalid_field("task.key", f"{spec.key!r} is the key of another task of this epic")
        return spec.key
    stem = slug(spec.title) or "task"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return next(key for key in (stem, *numbered) if key not in taken)


def title_of(prompt: str) -> str:
    """Returns the first line of a prompt that has content, truncated to the length of a title."""
    first = next((line for line in map(str.strip, prompt.splitlines()) if line), "")
    words = re.sub(r"[\x00-\x1f]+", " ", first).lstrip("#-* ")
    return words if len(words) <= _TITLE else f"{words[: _TITLE - 1]}…"
