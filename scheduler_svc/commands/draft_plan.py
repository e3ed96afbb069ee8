"""Creates runs in which an agent drafts a plan."""

from heddle import pb
from heddle.drafts import request as draft_request
from heddle.identity.principals import Call
from heddle.samples.example import ready_agents
from scheduler_svc.commands.create_run import create_run
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Database


async def draft_plan(
    database: Database,
    workers: Workers,
    request: pb.DraftPlanRequest,
    suffix: str,
    *,
    call: Call,
    now: int,
    project_budget: int | None = None,
) -> pb.Run:
    """Returns the new draft, or the one that this request_id already created. `project_budget` is in micros."""
    draft_request.check(request)
    asked = pb.CreateRunRequest(
        plan=draft_request.drafting_plan(request, ready_agents(workers.list())),
        project=request.project,
        base_ref=request.base_ref,
        max_parallel=1,
        # Nothing in the checkout is at risk.
        allow_dirty=True,
    )
    return await create_run(
        database, workers, asked, suffix, call=call, now=now, project_budget=project_budget, draft=request
    )
