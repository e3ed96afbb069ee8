"""Creates runs in which an agent drafts a plan, or changes one."""

import asyncio
from functools import partial

from heddle import pb
from heddle.drafts import request as draft_request
from heddle.drafts.revision_prompt import Revised
from heddle.identity.principals import Call
from heddle.plan import rules
from heddle.samples.example import ready_agents
from scheduler_svc.commands.plans.revised_plans import Basis, read_basis, text_of
from scheduler_svc.commands.runs.create_run import CHECKER, Drafting, create_run, created_before, refuse_if
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
    if before := await created_before(database, request):
        return before
    draft_request.check(request)
    revised: Revised | None = None
    basis: Basis | None = None
    if request.revises.run:
        basis = await database.read(partial(read_basis, asked=request.revises))
        revised = basis.revised
    elif request.HasField("revises"):
        refuse_if(rules.oversized(request.revises.plan))
        loop = asyncio.get_running_loop()
        refuse_if(await loop.run_in_executor(CHECKER, rules.violations, request.revises.plan))
        revised = Revised(request.revises.plan, text_of(pb.GetPlanResponse(plan=request.revises.plan)))
    asked = pb.CreateRunRequest(
        plan=draft_request.drafting_plan(request, ready_agents(workers.list()), revised),
        project=basis.project if basis else request.project,
        base_ref=basis.commit if basis else request.base_ref,
        max_parallel=1,
        # Nothing in the checkout is at risk.
        allow_dirty=True,
    )
    drafting = Drafting(request, revised.revision if revised else 0, basis.worker if basis else "")
    return await create_run(
        database, workers, asked, suffix, call=call, now=now, project_budget=project_budget, drafting=drafting
    )
