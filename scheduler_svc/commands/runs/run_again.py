"""Fills in a request to run another run again."""

from heddle import pb
from heddle.errors import invalid_field
from heddle.names import RunName
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.model.plans.draft_words import not_for_drafts
from scheduler_svc.model.plans.unfinished_plan import unfinished
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.queries.plan_progress import read_finished
from scheduler_svc.store.queries.records import run_row
from scheduler_svc.store.rows import plans


def filled(connection: Connection, request: pb.CreateRunRequest) -> pb.CreateRunRequest:
    """Returns the request with the values of the run that it names.

    Raises INVALID_FIELD, NOT_FOUND, and WRONG_STATE if `failed_only` does not apply.
    """
    if request.project or request.HasField("plan"):
        field = "project" if request.project else "plan"
        raise invalid_field(field, f"must be absent: it is that of {request.again}")
    name = RunName.parse(request.again)
    run = run_row(connection, name)
    if run.draft:
        raise not_for_drafts(name, "draft again with the same goal, or start its plan")
    newest = plans.read(connection, name)
    asked = pb.CreateRunRequest(
        plan=newest.plan,
        plan_text=newest.text,
        plan_inputs=newest.inputs,
        project=run.project,
        base_ref=run.base_ref,
        agent=run.agent,
        max_parallel=run.max_parallel,
        merge_into=run.merge_into,
        draft=str(RunName(draft)) if (draft := plans.draft_of(connection, name.run)) else "",
    )
    if request.failed_only:
        asked.plan.CopyFrom(_left(connection, name, run.state, newest.plan))
        asked.plan_text = ""
        asked.plan_inputs.clear()
        asked.base_ref = name.branch if run.head_commit else run.base_ref
    asked.MergeFrom(request)
    return asked


def _left(connection: Connection, name: RunName, state: "pb.RunState.ValueType", plan: pb.Plan) -> pb.Plan:
    if state not in ENDED_RUN:
        raise wrong_state(name, pb.RunState.Name(state), "wait until it has ended, or cancel it first")
    left = unfinished(plan, read_finished(connection, name))
    if not left.epics:
        raise wrong_state(
            name, pb.RunState.Name(state), "all of it was accepted, so nothing is left to run again"
        )
    return left
