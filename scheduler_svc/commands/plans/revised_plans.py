"""The plans that drafts change: what their agents are given, and how their answers are compared."""

from typing import NamedTuple

from heddle import pb
from heddle.drafts.revision_prompt import Revised
from heddle.errors import HeddleError, Violation, not_found
from heddle.names import EpicName, RunName, TaskName
from scheduler_svc.commands.plans.plan_changes import compare
from scheduler_svc.commands.runs.reopen import check_not_cancelling
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.model.plans import revisions
from scheduler_svc.model.plans.draft_words import not_for_drafts
from scheduler_svc.model.plans.plan_difference import difference, unstarted
from scheduler_svc.model.run_report import report
from scheduler_svc.store.db.database import Connection, Row
from scheduler_svc.store.queries.plan_progress import read_progress
from scheduler_svc.store.queries.records import epic_row, run_row
from scheduler_svc.store.queries.resources import get_epics, get_last_failed, get_tasks
from scheduler_svc.store.rows import drafts, plans


class Basis(NamedTuple):
    """What a draft that changes the plan of a run starts from."""

    revised: Revised
    project: str
    # The newest accepted commit.
    commit: str
    worker: str


class Proposal(NamedTuple):
    """A proposed plan next to the one that it changes."""

    changes: list[pb.PlanChange]
    # Why it cannot be used.
    violations: list[Violation]
    # The revision of the run's plan from which the agent continues. 0: it is the plan of no run.
    revision: int


def read_basis(connection: Connection, asked: pb.PlanRevision) -> Basis:
    """Reads the plan of a run that is to be changed, and how far the run is.

    Raises NOT_FOUND, and WRONG_STATE if nothing of it can be changed.
    """
    name = RunName.parse(asked.run)
    run = run_row(connection, name)
    if run.draft:
        raise not_for_drafts(
            name, "draft again with another goal, or change the plan of the run that you start from it"
        )
    state = check_not_cancelling(connection, name)
    if state == pb.RUN_STATE_CANCELLED:
        raise wrong_state(name, pb.RunState.Name(state), "nothing of it runs any more; run it again instead")
    current = plans.read(connection, name)
    _check_left(connection, name, asked, run, current.plan)
    return Basis(
        _revised(connection, name, asked, run, current),
        run.project,
        _commit(connection, asked, run),
        run.worker,
    )


def text_of(given: pb.GetPlanResponse) -> str:
    """Returns the text of a plan for an agent: its file, or its YAML if it has none or the file has inputs."""
    from heddle.plan.yaml import writing  # noqa: PLC0415 (imports PyYAML, and few plans change)

    return given.text if given.text and not given.inputs else writing.text_of(given.plan)


def scope_of(asked: pb.PlanRevision) -> RunName | EpicName | None:
    """Returns whose failed tasks are skipped once the changed plan is applied."""
    if asked.kind != pb.PLAN_REVISION_KIND_REST:
        return None
    name = RunName.parse(asked.run)
    return name.epic(asked.epic) if asked.epic else name


def read_asked(connection: Connection, draft: str) -> drafts.Asked | None:
    """Returns what a draft was asked for, with the revision from which its agent continues now.

    None if the draft is one of a new plan.
    """
    asked = drafts.asked(connection, draft)
    if asked is None or not asked.request.HasField("revises"):
        return None
    earlier = drafts.listed(connection, draft)
    return asked._replace(revision=earlier[-1].revision) if earlier else asked


def read_before(connection: Connection, asked: drafts.Asked) -> pb.Plan:
    """Returns the plan that an agent was given; raises NOT_FOUND if its run no longer exists."""
    revises = asked.request.revises
    if not revises.run:
        return revises.plan
    return plans.read(connection, RunName.parse(revises.run), asked.revision).plan


def read_proposal(connection: Connection, asked: drafts.Asked, plan: pb.Plan) -> Proposal:
    """Compares a valid plan with the one that it changes, which the run may have changed meanwhile."""
    revises = asked.request.revises
    if not revises.run:
        changes = difference(revises.plan, plan, unstarted(revises.plan))
        return Proposal(changes, list(revisions.violations(revises, revises.plan, plan, changes)), 0)
    name = RunName.parse(revises.run)
    before = read_before(connection, asked)
    try:
        changes = compare(connection, name, plan, asked.revision, scope_of(revises)).changes
    except HeddleError as error:
        newest = plans.read(connection, name).revision
        return Proposal([], [Violation("epics", error.message)], newest)
    return Proposal(changes, list(revisions.violations(revises, before, plan, changes)), asked.revision)


def _check_left(
    connection: Connection, name: RunName, asked: pb.PlanRevision, run: Row, plan: pb.Plan
) -> None:
    if asked.epic and asked.epic not in {epic.key for epic in plan.epics}:
        raise not_found(name.epic(asked.epic))
    progress = read_progress(connection, name, run.agent, scope_of(asked))
    states = {_key(task.name): task.state for task in get_tasks(connection, name.run)}
    if not revisions.is_left(asked, progress, states):
        what = name.epic(asked.epic) if asked.epic else name
        advice = (
            "all of it has started, so nothing of it can be split"
            if asked.kind == pb.PLAN_REVISION_KIND_SPLIT
            else "nothing of it has failed or waits, so nothing is left to plan again; add tasks instead"
        )
        raise wrong_state(what, pb.RunState.Name(run.state), advice)


def _revised(
    connection: Connection, name: RunName, asked: pb.PlanRevision, run: Row, current: pb.GetPlanResponse
) -> Revised:
    tasks = get_tasks(connection, name.run)
    last = {
        task.name: get_last_failed(connection, TaskName.parse(task.name))
        for task in tasks
        if task.state in {pb.TASK_STATE_FAILED, pb.TASK_STATE_PENDING} and task.attempt_count
    }
    progress = read_progress(connection, name, run.agent, scope_of(asked))
    origin = drafts.asked(connection, plans.draft_of(connection, name.run))
    return Revised(
        plan=current.plan,
        text=text_of(current),
        revision=current.revision,
        report=report(
            get_epics(connection, name.run),
            tasks,
            {key: attempt for key, attempt in last.items() if attempt is not None},
            progress,
        ),
        origin=origin.request if origin else None,
    )


def _commit(connection: Connection, asked: pb.PlanRevision, run: Row) -> str:
    own = epic_row(connection, RunName(run.run).epic(asked.epic)).head_commit if asked.epic else ""
    return str(own or run.head_commit or run.base_commit)


def _key(task: str) -> tuple[str, str]:
    name = TaskName.parse(task)
    return name.epic, name.task
