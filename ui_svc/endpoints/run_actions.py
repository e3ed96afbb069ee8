"""HTTP endpoints that run a run again, change its plan, take in its branch, skip tasks, and choose candidates."""

import asyncio
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Body

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.plan import file
from heddle.plan.validation.candidate_rules import MOST
from heddle.plan.yaml import writing
from ui_svc import views
from ui_svc.endpoints import addresses
from ui_svc.endpoints.plan_form import plan_inputs
from ui_svc.views import View, plan_changes
from ui_svc.views.plan_preview import read_plan

Form: TypeAlias = Annotated[dict[str, Any], Body()]


class RunActions:
    """Translates between the browser's JSON and the client's calls."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client

    def add_to(self, router: APIRouter) -> None:
        router.post(addresses.RUN + ":again")(self.run_again)
        router.get(addresses.RUN + "/plan")(self.get_plan)
        router.post(addresses.RUN + "/plan:apply")(self.apply_plan)
        router.post(addresses.RUN + ":sync")(self.sync_run)
        router.post(addresses.EPIC + ":sync")(self.sync_epic)
        router.post(addresses.TASK + ":skip")(self.skip_task)
        router.post(addresses.TASK + ":choose")(self.choose_candidate)

    async def run_again(self, name: addresses.Run, form: Form) -> View:
        """Starts the plan of a run again; with `failed_only`, only what was not accepted and merged.

        A repeated request_id returns the same new run.
        """
        request = pb.CreateRunRequest(
            again=str(name),
            failed_only=bool(form.get("failed_only")),
            agent=str(form.get("agent", "")),
            allow_dirty=bool(form.get("allow_dirty")),
            request_id=str(form.get("request_id", "")),
        )
        return views.run(await self._client.create_run(request))

    async def get_plan(self, name: addresses.Run) -> View:
        """Returns the current plan as text: as it was written, unless the run started with other values."""
        found = await self._client.get_plan(str(name))
        return {
            # Reading a large plan takes a second.
            "yaml": await asyncio.to_thread(_text_of, found),
            "inputs": dict(found.inputs),
            "revision": found.revision,
            "actor": found.actor,
            "time": views.time(found, "create_time"),
        }

    async def apply_plan(self, name: addresses.Run, form: Form) -> View:
        """Replaces the plan of a run; with `validate_only`, only returns the difference.

        `problems` are the errors of the plan, with their lines; then nothing was asked or changed. A repeated
        request_id changes the plan only once.
        """
        text = str(form.get("yaml", ""))
        inputs = plan_inputs(form)
        plan, found = await asyncio.to_thread(read_plan, text, 1, inputs)
        if plan is None:
            return {"problems": found["problems"], "changes": [], "revision": 0}
        request = pb.ApplyPlanRequest(
            name=str(name),
            plan=plan,
            plan_text=text,
            plan_inputs=inputs,
            revision=_revision(form),
            skip_failed_of=str(form.get("skip_failed_of", "")),
            validate_only=bool(form.get("validate_only")),
            request_id=str(form.get("request_id", "")),
        )
        answer = await self._client.apply_plan(request)
        changes = [plan_changes.change(each) for each in answer.difference.changes]
        return {"problems": [], "changes": changes, "revision": answer.revision}

    async def sync_run(self, name: addresses.Run) -> View:
        """Has the epics of a run with tasks left take in new commits of the project's branch."""
        return {"epics": [views.epic(each) for each in await self._client.sync_base(str(name))]}

    async def sync_epic(self, name: addresses.Epic, form: Form) -> View:
        """Has an epic take in new commits of the project's branch; with `cancel`, continue without them."""
        epics = await self._client.sync_base(str(name), cancel=bool(form.get("cancel")))
        return {"epics": [views.epic(each) for each in epics]}

    async def skip_task(self, name: addresses.Task) -> View:
        return views.task(await self._client.skip_task(str(name)))

    async def choose_candidate(self, name: addresses.Task, form: Form) -> View:
        """Has the work of a candidate of this task accepted; `candidate` is its number from 1."""
        number = form.get("candidate")
        if not isinstance(number, int) or not 1 <= number <= MOST:
            raise errors.invalid_field("candidate", f"must be a number from 1 to {MOST}")
        return views.task(await self._client.choose_candidate(str(name), number))


def _text_of(found: pb.GetPlanResponse) -> str:
    if found.text:
        written = file.parse(found.text, "plan", dict(found.inputs))
        # Options of the run, such as another agent, change its plan but not the text.
        if not written.problems and written.plan == found.plan:
            return found.text
    return writing.text_of(found.plan)


def _revision(form: Form) -> int:
    value = form.get("revision") or 0
    if isinstance(value, int) and 0 <= value < 1 << 62:
        return value
    raise errors.invalid_field("revision", "must be a whole number, 0 or more")
