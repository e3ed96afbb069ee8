"""HTTP endpoints for drafts of plans."""

from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Body

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.samples import example
from ui_svc.endpoints import addresses
from ui_svc.views import View
from ui_svc.views import drafts as views

Form: TypeAlias = Annotated[dict[str, Any], Body()]

_KINDS: Final = {"split": pb.PLAN_REVISION_KIND_SPLIT, "rest": pb.PLAN_REVISION_KIND_REST}


class DraftCalls:
    """Translates between the browser's JSON and the client's calls."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client

    def add_to(self, router: APIRouter) -> None:
        router.post("/drafts")(self.draft_plan)
        router.post(addresses.RUN + "/plan:revise")(self.revise_plan)
        router.get(addresses.RUN + "/draft")(self.get_draft)

    async def draft_plan(self, form: Form) -> View:
        """Lets `agent`, or else the person's usual one, draft a plan for `goal`; a repeated request_id drafts once."""
        budget = form.get("budget") or None
        if budget is not None and not isinstance(budget, int):
            raise errors.invalid_field("budget", "must be a whole number")
        request = pb.DraftPlanRequest(
            goal=str(form.get("goal", "")),
            project=str(form.get("project", "")),
            base_ref=str(form.get("base_ref", "")),
            agent=str(form.get("agent", "")) or await self._usual_agent(),
            budget_usd_micros=budget,
            request_id=str(form.get("request_id", "")),
        )
        return views.draft(pb.Draft(), await self._client.draft_plan(request))

    async def revise_plan(self, name: addresses.Run, form: Form) -> View:
        """Lets an agent change the plan of a run: split `epic`, or plan the `rest` of the run or of `epic` again."""
        kind = _KINDS.get(str(form.get("kind", "")))
        if kind is None:
            raise errors.invalid_field("kind", f"must be one of {', '.join(_KINDS)}")
        request = pb.DraftPlanRequest(
            goal=str(form.get("goal", "")),
            agent=str(form.get("agent", "")) or await self._usual_agent(),
            request_id=str(form.get("request_id", "")),
            revises=pb.PlanRevision(kind=kind, run=str(name), epic=str(form.get("epic", ""))),
        )
        return views.draft(pb.Draft(), await self._client.draft_plan(request))

    async def get_draft(self, name: addresses.Run) -> View:
        # In this order: the draft of a run that has ended is its last one.
        run = await self._client.get_run(str(name))
        return views.draft(await self._client.get_draft(str(name)), run)

    async def _usual_agent(self) -> str:
        ready = example.ready_agents(await self._client.list_workers())
        agent = example.usual_agent(ready, (await self._client.get_preferences()).agent)
        if not agent:
            raise errors.invalid_field("agent", "no agent is ready on your workers; choose one under Options")
        return agent
