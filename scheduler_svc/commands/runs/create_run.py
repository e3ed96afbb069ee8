"""Creates a run: checks everything first, then writes it in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from heddle import pb, urls
from heddle.errors import HeddleError, Violation, invalid_field, invalid_plan
from heddle.identity.principals import Call
from heddle.names import EpicName, RunName
from heddle.plan import rules
from heddle.plan.validation import budget_rules
from scheduler_svc.commands.runs.run_again import filled
from scheduler_svc.commands.workers.fleet_offers import programs_for, remark, unplaceable
from scheduler_svc.model.home import Home
from scheduler_svc.model.plans.plan_defaults import (
    merge_checks,
    resolved_epic,
    resolved_tasks,
    with_checks,
    with_place,
)
from scheduler_svc.model.run_ids import run_id
from scheduler_svc.model.sessions.agent_availability import (
    agents_of,
    check_all_available,
    check_form,
    without_limit,
)
from scheduler_svc.pools.worker import Worker
from scheduler_svc.pools.workers import Workers, call
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.resources import get_run
from scheduler_svc.store.rows import drafts, epics, plans, runs, tasks
from scheduler_svc.store.rows.callers import requests

# Checking the largest plans takes a second, in which other calls continue. One at a time: several threads of Python
# take as long together, and would leave the others less.
CHECKER: Final = ThreadPoolExecutor(1, thread_name_prefix="plan-check")

# Timeout for inspecting a project, in seconds.
_INSPECT_TIMEOUT: Final = 30.0
# The same if the project must be cloned first.
_CLONE_TIMEOUT: Final = 900.0


@dataclass(frozen=True)
class _Base:
    """The base of a run, and where it runs."""

    worker: str
    project: str
    base_commit: str
    # Empty: the run starts from a tag or commit.
    base_branch: str
    # 0: as many as its workers have slots.
    max_parallel: int
    # None: the project has none.
    file: pb.ProjectFile | None = None
    # None: the branch is up to date with its upstream, or has no upstream.
    behind: pb.BaseBehind | None = None
    # True: the worker serves the project to others. If not: why, if that is known.
    served: bool = False
    not_served: str = ""
    # What of the plan has no effect. Empty: nothing.
    remark: str = ""

    @property
    def home(self) -> Home:
        return Home(self.project, self.worker, self.served)


class Drafting(NamedTuple):
    """What makes a run one that drafts a plan."""

    request: pb.DraftPlanRequest
    # The revision of the run's plan that its agent is given. 0: it changes no run's plan.
    revision: int
    # Where it runs. Empty: on the worker with the most free slots.
    worker: str = ""


# Creates a run for a call at a time, in microseconds.
StartRun: TypeAlias = Callable[[pb.CreateRunRequest, Call, int], Awaitable[pb.Run]]


async def create_run(
    database: Database,
    workers: Workers,
    request: pb.CreateRunRequest,
    suffix: str,
    *,
    call: Call,
    now: int,
    project_budget: int | None = None,
    drafting: Drafting | None = None,
) -> pb.Run:
    """Returns the new run, or the run that this request_id already created. `project_budget` is in micros.

    `drafting`: the run drafts a plan; the request of that has the request_id.
    """
    given = drafting.request if drafting else request
    if before := await created_before(database, given):
        return before
    asked = request
    if request.again:
        asked = await database.read(partial(filled, request=request))
    elif request.failed_only:
        raise invalid_field("failed_only", "needs `again`, the run of which only failed tasks run")
    # A plan with too many parts is refused at once, and does not wait in memory for its turn.
    refuse_if(rules.oversized(asked.plan))
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(CHECKER, _check_request, asked)
    worker = workers.get(drafting.worker) if drafting and drafting.worker else workers.most_free()
    budget = "" if project_budget is None else budget_rules.PROJECT_BUDGET
    base = await _inspect(asked, worker)
    base = replace(base, max_parallel=base.max_parallel or max(workers.slots_for(base.home), 1))
    refuse_if(list(unplaceable(asked.plan, base.home, base.not_served)))
    programs = tuple(programs_for(workers, base.home))
    await loop.run_in_executor(CHECKER, _check_agents, asked, programs, budget)
    base = replace(base, remark=remark(asked.plan, base.home, base.not_served, has_pods=bool(workers.pool)))
    if asked.validate_only:
        return _planned(asked, base)
    name = RunName(run_id(asked.plan.name, suffix))

    def work(connection: Connection) -> RunName:
        actor, full = call.principal.name, worker.state.full
        _write(connection, name, asked, base, actor=actor, now=now, full=full, drafting=drafting)
        return name

    write = partial(requests.once, request=given, work=work, call=call, now=now)
    return await _read(database, await database.submit(write, LOOP, str(name)))


async def created_before(
    database: Database, request: pb.CreateRunRequest | pb.DraftPlanRequest
) -> pb.Run | None:
    """Returns the run that this request_id already created; None if there is none. Raises REQUEST_ID_REUSED."""
    made = await database.read(lambda connection: requests.recall(connection, request.request_id, request))
    return await _read(database, made) if made else None


async def _read(database: Database, name: str) -> pb.Run:
    return await database.read(partial(get_run, name=RunName.parse(name)))


def refuse_if(mistakes: Sequence[Violation]) -> None:
    """Raises INVALID_PLAN if there are violations."""
    if mistakes:
        raise invalid_plan(mistakes)


def _check_request(request: pb.CreateRunRequest) -> None:
    refuse_if(rules.violations(request.plan))
    if not request.project:
        raise invalid_field("project", "name the git repository to work on, as an absolute path or a URL")
    if urls.is_of_worker(request.project):
        raise invalid_field("project", f"{request.project!r} is not a URL that Heddle can clone")
    if urls.is_url(request.project):
        urls.identity(request.project)
    if request.max_parallel < 0:
        raise invalid_field("max_parallel", "must be at least 1, or absent for the workers' slots")


def _check_agents(
    request: pb.CreateRunRequest, programs: Sequence[pb.AgentProgram], project_budget: str
) -> None:
    """Raises if the worker cannot start an agent or no limit could stop it. `project_budget`: empty if none."""
    plan = request.plan
    if request.agent:
        check_form(request.agent, programs)
    mistakes = []
    for index, epic in enumerate(plan.epics):
        places = {task.key: place for place, task in enumerate(epic.tasks)}
        for task in resolved_tasks(epic, plan.defaults, request.agent):
            check_all_available(task, f"task {epic.key}/{task.key}", programs)
            path = f"epics[{index}].tasks[{places[task.key]}]"
            budget = budget_rules.budget_of(plan, epic, task) or project_budget
            mistakes += without_limit(path, task, budget, programs)
    refuse_if(mistakes)


async def _inspect(request: pb.CreateRunRequest, worker: Worker) -> _Base:
    inspection = pb.InspectProjectRequest(
        project=request.project, base_ref=request.base_ref, merge_into=_merge_into(request)
    )
    timeout = _CLONE_TIMEOUT if urls.is_url(request.project) else _INSPECT_TIMEOUT
    found = await call(worker.name, worker.worktree.InspectProject, inspection, timeout)
    if found.dirty_files and not request.allow_dirty:
        files = ", ".join(found.dirty_files[:5]) + (", …" if len(found.dirty_files) > 5 else "")
        raise HeddleError(
            pb.ERROR_REASON_DIRTY_CHECKOUT,
            f"{found.project} has uncommitted changes that agents would not see ({files}); commit or stash"
            " them, or accept that with --allow-dirty",
            files=", ".join(found.dirty_files),
        )
    return _Base(
        worker.name,
        found.project,
        found.base_commit,
        found.base_branch,
        request.max_parallel,
        found.project_file if found.HasField("project_file") else None,
        found.base_behind if found.HasField("base_behind") else None,
        found.served,
        found.not_served,
    )


def _planned(request: pb.CreateRunRequest, base: _Base) -> pb.Run:
    """Returns the run that would be created, without a name."""
    count = sum(len(epic.tasks) for epic in request.plan.epics)
    return pb.Run(
        title=request.plan.name,
        state=pb.RUN_STATE_PENDING,
        project=base.project,
        base_ref=request.base_ref or "HEAD",
        base_commit=base.base_commit,
        merge_into=_merge_into(request),
        max_parallel=base.max_parallel,
        budget_usd_micros=budget_of(request.plan),
        tasks=pb.TaskCounts(total=count, pending=count),
        epic_count=len(request.plan.epics),
        base_behind=base.behind,
        remark=base.remark,
    )


def _write(
    connection: Connection,
    name: RunName,
    request: pb.CreateRunRequest,
    base: _Base,
    *,
    actor: str,
    now: int,
    full: str = "",
    drafting: Drafting | None = None,
) -> None:
    plan = request.plan
    if drafting:
        # It neither changes nor runs the project: of its file, only whether there are checks matters, for its plan.
        base = replace(base, file=pb.ProjectFile(checks=base.file.checks) if base.file else None)
    defaults = plan.defaults if drafting else with_checks(plan.defaults, base.file)
    row = _run_row(name, request, base, defaults, actor=actor, now=now)
    if drafting:
        revises = drafting.request.revises.run
        row |= {"draft": True, "revises": RunName.parse(revises).run if revises else ""}
    runs.insert(connection, row)
    if drafting:
        drafts.insert_request(connection, name, drafting.request, drafting.revision)
    plans.insert(
        connection,
        name,
        1,
        plan,
        text=request.plan_text,
        inputs=request.plan_inputs,
        draft=_draft_of(connection, request.draft, base.project) if request.draft else "",
        actor=actor,
        now=now,
    )
    events = [
        _created(name, plan, base, actor),
        *_write_tasks(
            connection, name, with_place(plan, base.file, placed=base.home.placed), defaults, request.agent
        ),
    ]
    if full:
        # Existing runs received this event when the worker became full.
        report = pb.WorkerFull(worker=base.worker, reason=full)
        events.append(event(name, "scheduler", worker_full=report))
    append(connection, events, now)


def _created(name: RunName, plan: pb.Plan, base: _Base, actor: str) -> pb.Event:
    created = pb.RunCreated(
        title=plan.name,
        project=base.project,
        base_commit=base.base_commit,
        epic_count=len(plan.epics),
        task_count=sum(len(epic.tasks) for epic in plan.epics),
        max_parallel=base.max_parallel,
    )
    return event(name, actor, run_created=created)


def _write_tasks(
    connection: Connection, name: RunName, plan: pb.Plan, defaults: pb.TaskDefaults, agent: str
) -> list[pb.Event]:
    """Inserts the epics and their tasks; returns the events of the epics that can start at once."""
    epic_rows = []
    task_rows = []
    events = []
    for place, epic in enumerate(plan.epics):
        epic_rows.append(epic_row(name.epic(epic.key), place, resolved_epic(epic, plan)))
        for position, task in enumerate(resolved_tasks(epic, defaults, agent), 1):
            task_rows.append(task_row(name.epic(epic.key), position, task))
        if not epic.depends_on:
            events.append(event(name.epic(epic.key), "scheduler", epic_ready=pb.EpicReady()))
    epics.insert(connection, epic_rows)
    tasks.insert(connection, task_rows)
    return events


def _draft_of(connection: Connection, name: str, project: str) -> str:
    """Returns the id of the draft that a plan comes from; empty if it is not one of the project.

    The plan may be started on another repository than it was drafted for. The goal of that is no one's business here.
    """
    run = RunName.parse(name).run
    return run if drafts.project_of(connection, run) == project else ""


def _run_row(
    name: RunName,
    request: pb.CreateRunRequest,
    base: _Base,
    defaults: pb.TaskDefaults,
    *,
    actor: str,
    now: int,
) -> dict[str, object]:
    """Returns the row of a run that has not started."""
    plan = request.plan
    return {
        "run": name.run,
        "title": plan.name,
        "state": pb.RUN_STATE_PENDING,
        "project": base.project,
        "base_ref": request.base_ref or "HEAD",
        "base_commit": base.base_commit,
        "base_branch": base.base_branch,
        "base_behind": base.behind and base.behind.SerializeToString(),
        "merge_into": _merge_into(request),
        "squash": plan.merge_style == pb.MERGE_STYLE_SQUASH,
        "merge_checks": merge_checks(plan, defaults).SerializeToString(),
        "max_parallel": base.max_parallel,
        "worker": base.worker,
        "served": base.served,
        "not_served": base.not_served,
        "plan": plan.SerializeToString(),
        "project_file": base.file and base.file.SerializeToString(),
        "budget_micros": budget_of(plan),
        "agent": request.agent,
        "creator": actor,
        "remark": base.remark,
        "created_at": now,
    }


def epic_row(name: EpicName, place: int, spec: pb.PlanEpic) -> dict[str, object]:
    """Returns the row of an epic that has not started."""
    return {
        "run": name.run,
        "epic": name.epic,
        "place": place,
        "state": pb.EPIC_STATE_BLOCKED if spec.depends_on else pb.EPIC_STATE_READY,
        "priority": spec.priority,
        "on_failure": spec.on_failure,
        "budget_micros": budget_of(spec),
        "spec": spec.SerializeToString(),
    }


def task_row(name: EpicName, position: int, spec: pb.PlanTask) -> dict[str, object]:
    """Returns the row of a task that has not begun."""
    return {
        "run": name.run,
        "epic": name.epic,
        "task": spec.key,
        "position": position,
        "state": pb.TASK_STATE_PENDING,
        "estimate": estimate_of(spec),
        "needs": " ".join(spec.needs),
        "candidates": len(spec.candidates),
        "compares": spec.HasField("choose"),
        "agents": agents_of(spec),
        "budget_micros": budget_of(spec),
        "spec": spec.SerializeToString(),
    }


def estimate_of(spec: pb.PlanTask) -> float | None:
    """Returns the estimate of a task in seconds; None if it has none."""
    return spec.estimate.seconds + spec.estimate.nanos / 1e9 if spec.HasField("estimate") else None


def _merge_into(request: pb.CreateRunRequest) -> str:
    return request.merge_into or request.plan.merge_into


def budget_of(part: pb.Plan | pb.PlanEpic | pb.PlanTask) -> int | None:
    """Returns the budget of a part of a plan in micros; None if it has none."""
    return part.budget_usd_micros if part.HasField("budget_usd_micros") else None
