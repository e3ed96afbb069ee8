"""HTTP endpoints that check, start, control and show runs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from fastapi import APIRouter, Body

from heddle import errors, pb
from heddle.client import HeddleClient, agent_averages
from heddle.events.kinds import HISTORY, RUN, SPANS
from heddle.files.retained_log import from_oldest
from heddle.names import ANY, AttemptName, EpicName, RunName
from heddle.plan import file
from heddle.samples import example
from ui_svc import views
from ui_svc.endpoints import addresses
from ui_svc.endpoints.plan_form import plan_inputs
from ui_svc.views import View
from ui_svc.views.plan_preview import read_plan, tasks_by_agent

# A longer diff is truncated, and the page shows this.
DIFF_BYTES: Final = 1 << 20

# The most that one answer of the scheduler contains.
RUNS_PAGE: Final = 500

# The parallelism of a forecast if neither the form nor a worker gives one.
USUAL_SLOTS: Final = 8

# The field of the form that a refusal is about, if it is not the project.
_FIELDS: Final = {
    pb.ERROR_REASON_UNKNOWN_REVISION: "base_ref",
    pb.ERROR_REASON_BRANCH_CHECKED_OUT: "merge_into",
}

_TURNS: Final = {"timeline": SPANS, "history": HISTORY}

Form: TypeAlias = Annotated[dict[str, Any], Body()]


class RunCalls:
    """Translates between the browser's JSON and the client's calls."""

    def __init__(self, client: HeddleClient, *, one_machine: bool) -> None:
        self._client = client
        self._one_machine = one_machine

    def add_to(self, router: APIRouter) -> None:
        router.get("/workers")(self.list_workers)
        router.post("/caller")(self.get_caller)
        router.post("/plan:check")(self.check_plan)
        router.get("/plan:example")(self.example_plan)
        router.get("/agent_costs")(self.list_agent_costs)
        router.post("/project:check")(self.check_project)
        router.get("/preferences")(self.get_preferences)
        router.get("/runs")(self.list_runs)
        router.post("/runs")(self.create_run)
        router.post(addresses.RUN + ":set")(self.update_run)
        router.post(addresses.RUN + ":revoke")(self.revoke_permission)
        router.post(addresses.RUN + ":pause")(self.pause_run)
        router.post(addresses.RUN + ":resume")(self.resume_run)
        router.post(addresses.RUN + ":cancel")(self.cancel_run)
        router.post(addresses.RUN + ":push")(self.push_run)
        router.get(addresses.EPIC + "/tasks")(self.list_tasks)
        router.post(addresses.EPIC + "/tasks")(self.add_task)
        router.post(addresses.TASK + ":retry")(self.retry_task)
        router.post(addresses.TASK + ":resume")(self.resume_task)
        router.post(addresses.TASK + ":retryFromHere")(self.retry_from_here)
        router.post(addresses.EPIC + ":merge")(self.retry_merge)
        router.post(addresses.EPIC + ":resolve")(self.resolve_conflict)
        router.post(addresses.EPIC + ":drop")(self.drop_epic)
        router.get(addresses.RUN + "/turns")(self.list_turns)
        router.get(addresses.RUN + "/conflicts")(self.get_conflicts)
        router.get(addresses.RUN + "/disk")(self.get_disk_use)
        router.post("/holds:lift")(self.lift_hold)
        router.get("/costs")(self.list_costs)
        router.get(addresses.RUN + "/diff")(self.run_diff)
        router.get(addresses.EPIC + "/diff")(self.epic_diff)
        router.get(addresses.ATTEMPT + "/diff")(self.attempt_diff)

    async def list_workers(self) -> list[View]:
        found = [views.worker(each) for each in await self._client.list_workers()]
        return [each | {"reachable": each["reachable"] and self._one_machine} for each in found]

    async def get_caller(self) -> View:
        """Returns the role of the person; a change of the browser, so that its whole token is sent."""
        return {"role": pb.Role.Name((await self._client.get_caller()).role).removeprefix("ROLE_").lower()}

    async def check_plan(self, form: Form) -> View:
        """Checks the plan; if the form names a project, also checks whether a run could start."""
        plan, found = await _read(form)
        if plan is not None:
            found["tasks_by_agent"] = tasks_by_agent(plan, str(form.get("agent", "")))
        if plan is not None and form.get("project"):
            request = _create_request(form, plan)
            request.validate_only = True
            request.request_id = ""
            return {**found, "base_behind": views.run(await self._client.create_run(request))["base_behind"]}
        return found

    async def example_plan(self) -> View:
        """Returns a plan that the workers can carry out now, `agent`, and whether it is a dry run."""
        ready = example.ready_agents(await self._client.list_workers())
        preferred = (await self._client.get_preferences()).agent
        text = example.example_plan(ready, preferred)
        agent = file.parse(text, "plan").plan.defaults.agent
        return {"yaml": text, "agent": agent, "dry_run": not ready}

    async def list_agent_costs(self) -> View:
        """Returns what a task of each agent cost on average in the newest runs, in millionths of a dollar; null if unknown."""
        learned = await agent_averages.learn(self._client)
        return {"costs": {agent: each.cost for agent, each in learned.items()}}

    async def check_project(self, form: Form) -> View:
        """Returns why runs on `project` cannot start from `base_ref`, whatever their plan is; empty if they can.

        `fields` has the message for each wrong field; `dirty`: it is refused only for uncommitted changes.
        """
        request = _create_request(form, example.probe())
        request.validate_only = True
        request.request_id = ""
        try:
            run = await self._client.create_run(request)
        except errors.HeddleError as error:
            fields = {each.field: each.description for each in error.violations}
            return {
                "problem": error.message,
                "fields": fields or {_FIELDS.get(error.reason, "project"): error.message},
                "dirty": error.reason == pb.ERROR_REASON_DIRTY_CHECKOUT,
                "base_behind": None,
            }
        return {"problem": "", "fields": {}, "dirty": False, "base_behind": views.run(run)["base_behind"]}

    async def get_preferences(self) -> View:
        """Returns what the person has chosen: agent, editor, theme and when to notify."""
        chosen = await self._client.get_preferences()
        return {
            "agent": chosen.agent,
            "editor": chosen.editor,
            "theme": pb.Theme.Name(chosen.theme).removeprefix("THEME_").lower() if chosen.theme else "system",
            "notify": [pb.Occasion.Name(each).removeprefix("OCCASION_").lower() for each in chosen.notify],
        }

    async def create_run(self, form: Form) -> View:
        """Returns the new run, or the plan's problems; a repeated request_id returns the same run."""
        plan, found = await _read(form)
        if plan is None:
            return found
        return views.run(await self._client.create_run(_create_request(form, plan)))

    async def list_runs(self, page_token: str = "") -> View:
        """Returns a page of runs, newest first; `next` is empty on the last page."""
        page = await self._client.list_runs(page_size=RUNS_PAGE, page_token=page_token)
        return {"runs": [views.listed_run(each) for each in page.runs], "next": page.next_page_token}

    async def update_run(self, name: addresses.Run, form: Form) -> View:
        limit = _whole(form, "max_parallel")
        return views.run(await self._client.update_run(str(name), max_parallel=limit))

    async def revoke_permission(self, name: addresses.Run, form: Form) -> View:
        return views.run(await self._client.revoke_permission(str(name), str(form.get("rule", ""))))

    async def pause_run(self, name: addresses.Run) -> View:
        return views.run(await self._client.pause_run(str(name)))

    async def resume_run(self, name: addresses.Run, form: Form) -> View:
        """Resumes a run; first sets `budget`, in micros, if given, for `budget_of` or else for the run."""
        budget = _whole(form, "budget") if form.get("budget") else None
        of = str(form.get("budget_of", "")) if budget else ""
        return views.run(await self._client.resume_run(str(name), budget_usd_micros=budget, budget_of=of))

    async def lift_hold(self, form: Form) -> View:
        """Allows the agents of `provider` to start immediately; returns the runs that this resumes."""
        return {"resumed": await self._client.lift_hold(str(form.get("provider", "")))}

    async def cancel_run(self, name: addresses.Run) -> View:
        return views.run(await self._client.cancel_run(str(name)))

    async def list_tasks(self, epic: addresses.Epic) -> View:
        """Returns an epic's tasks and all their attempts."""
        tasks = await self._client.list_tasks(str(epic))
        attempts = await self._client.list_attempts(f"{epic}/tasks/{ANY}")
        return {
            "tasks": [views.whole_task(each) for each in tasks],
            "attempts": [views.attempt(each) for each in attempts],
        }

    async def list_turns(
        self,
        name: addresses.Run,
        after: int = 0,
        of: Literal["timeline", "history"] = "timeline",
        kinds: str = "",
        epic: str = "",
    ) -> View:
        """Returns the events after `after` in the run's log that a timeline or a replay needs.

        `kinds`, separated by commas, selects other kinds of events instead. `epic` is the key of an epic; the
        events of other epics are omitted.
        """
        wanted = RUN.intersection(kinds.split(",")) if kinds else _TURNS[of]
        turns: list[View] = []
        last = after

        def begin_later(oldest: int) -> None:
            nonlocal last
            last = oldest - 1

        def read(after_sequence: int) -> AsyncIterator[pb.Event]:
            return self._client.list_events(str(name), after=after_sequence)

        async for event in from_oldest(read, after, begin_later):
            last = event.sequence
            if event.WhichOneof("payload") in wanted and epic in {"", event.epic}:
                turns.append(views.turn(event))
        return {"turns": turns, "last": last}

    async def get_conflicts(self, name: addresses.Run) -> View:
        return views.conflicts(await self._client.get_conflicts(str(name)))

    async def get_disk_use(self, name: addresses.Run) -> View:
        """Returns the measured disk use of the run's worktrees, and their number."""
        found = await self._client.list_epic_worktrees(str(name), sizes_only=True)
        present = [each for each in found if each.state == pb.EPIC_WORKTREE_STATE_PRESENT]
        return {"bytes": sum(each.disk_bytes for each in present), "worktrees": len(present)}

    async def list_costs(self, parent: str = "", page_token: str = "") -> View:
        """Returns a page of the costs below `parent`, as in ListCostsRequest, and the total of all pages."""
        page = await self._client.list_costs(parent, page_size=RUNS_PAGE, page_token=page_token)
        return {
            "costs": [views.cost(each) for each in page.costs],
            "total": views.cost(page.total),
            "next": page.next_page_token,
        }

    async def add_task(self, epic: addresses.Epic, form: Form) -> View:
        """Adds a task to the end of the epic; a repeated request_id adds it only once."""
        asked = pb.PlanTask(
            title=str(form.get("title", "")),
            prompt=str(form.get("prompt", "")),
            agent=str(form.get("agent", "")),
            model=str(form.get("model", "")),
        )
        request_id = str(form.get("request_id", ""))
        return views.task(await self._client.add_task(str(epic), asked, request_id=request_id))

    async def retry_task(self, name: addresses.Task, form: Form) -> View:
        """Gives the task a new attempt, by `agent` and with `model` if they are given."""
        agent, model = (str(form.get(key, "")) for key in ("agent", "model"))
        return views.task(await self._client.retry_task(str(name), agent=agent, model=model))

    async def resume_task(self, name: addresses.Task) -> View:
        return views.task(await self._client.retry_task(str(name), resume=True))

    async def retry_from_here(self, name: addresses.Task) -> View:
        return views.task(await self._client.retry_task(str(name), from_here=True))

    async def push_run(self, name: addresses.Run) -> View:
        return views.run(await self._client.push_run(str(name)))

    async def retry_merge(self, name: addresses.Epic) -> View:
        return views.epic(await self._client.retry_merge(str(name)))

    async def resolve_conflict(self, name: addresses.Epic, form: Form) -> View:
        """Lets an agent resolve the conflict: `agent` if it is given, or else that of the epic's last task."""
        return views.epic(await self._client.resolve_conflict(str(name), agent=str(form.get("agent", ""))))

    async def drop_epic(self, name: addresses.Epic) -> View:
        return views.epic(await self._client.drop_epic(str(name)))

    async def run_diff(self, name: addresses.Run) -> View:
        return await self._diff(name)

    async def epic_diff(self, name: addresses.Epic) -> View:
        return await self._diff(name)

    async def attempt_diff(self, name: addresses.Attempt) -> View:
        return await self._diff(name)

    async def _diff(self, name: RunName | EpicName | AttemptName) -> View:
        answer = await self._client.get_diff(str(name), max_bytes=DIFF_BYTES)
        return {"text": answer.text, "truncated": answer.truncated}


async def _read(form: Form) -> tuple[pb.Plan | None, View]:
    # Reading a large plan takes a second.
    parallel = max(1, _whole(form, "max_parallel") or _whole(form, "slots") or USUAL_SLOTS)
    return await asyncio.to_thread(read_plan, str(form.get("yaml", "")), parallel, plan_inputs(form))


def _whole(form: Form, key: str) -> int:
    """Returns a number from the form, 0 if it is absent; raises INVALID_FIELD if it is not a number."""
    value = form.get(key) or 0
    if isinstance(value, int) and abs(value) < 1 << 62:
        return value
    raise errors.invalid_field(key, "must be a whole number")


def _create_request(form: Form, plan: pb.Plan) -> pb.CreateRunRequest:
    if form.get("budget"):
        plan.budget_usd_micros = _whole(form, "budget")
    return pb.CreateRunRequest(
        plan=plan,
        # The text says nothing of a budget that the form sets.
        plan_text="" if form.get("budget") else str(form.get("yaml", "")),
        plan_inputs=plan_inputs(form),
        project=str(form.get("project", "")),
        base_ref=str(form.get("base_ref", "")),
        agent=str(form.get("agent", "")),
        max_parallel=_whole(form, "max_parallel"),
        merge_into=str(form.get("merge_into", "")),
        allow_dirty=bool(form.get("allow_dirty")),
        draft=str(form.get("draft", "")),
        request_id=str(form.get("request_id", "")),
    )
