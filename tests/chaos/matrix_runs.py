"""Runs that reach a failpoint, and their expected outcome."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from heddle import pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from heddle.names import RunName
from heddle.plan.yaml import writing
from tests.chaos.plans import task_defaults
from tests.support import acp_agent
from tests.support.fleet import Fleet
from tests.support.repositories import fast_import, git

# Seconds until a service must have died at its point.
DEADLINE: Final = 180

# Makes a run that reaches a point, and returns at its end.
Scenario: TypeAlias = Callable[[HeddleClient, str], Coroutine[Any, Any, None]]

_AGENT: Final = Path(__file__).with_name("soak_agent.py")
_PICTURE: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# The handling of the worktrees of ended runs.
_AFTER_A_RUN: Final = re.compile(
    "ListWorktrees|ReleaseLease|RestoreWorktree|released?|restored?|end_request|archive"
)


async def until(true: Callable[[], bool]) -> None:
    """Waits for a condition without an event to wait for; returns after the deadline in any case."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE):
            while not true():  # noqa: ASYNC110 (processes and logs have no event to wait for)
                await asyncio.sleep(0.02)


class MatrixRuns:
    """The runs of one fleet, with the events that their watchers received and the violations."""

    def __init__(self, folder: Path, repository: Path, fleet: Fleet) -> None:
        self.watched: dict[str, list[pb.Event]] = {}
        self.wrong: list[str] = []
        self._folder, self._repository, self._fleet = folder, repository, fleet
        (folder / "journal").mkdir()
        (folder / "picture.png").write_bytes(_PICTURE)

    async def usual(self, client: HeddleClient, point: str) -> None:
        await self._play(client, point, self._plan({"a": ["flaky"], "b": ["one"]}))

    def scenario(self, point: str) -> Scenario:  # noqa: C901, PLR0911, PLR0912 (one branch for each kind of run)
        match point.partition(".")[0]:
            case "append":
                return self._lose_worker
            case "record_merged":
                return partial(self._play, plan=self._plan({"a": ["one"]}), target=f"side/{point}")
            case (
                "record_merge_check" | "OpenMerge" | "RunChecks" | "CloseMerge" | "open_merge" | "close_merge"
            ):
                return partial(self._play, plan=self._tested_merge("true"))
            case "record_conflict":
                return partial(self._play, plan=self._tested_merge("exit 3"), succeeds=False)
            case "record_merge_failure":
                return partial(self._block, cancels=True)
            case "record_merge_hold":
                return partial(self._block, cancels=False)
            case "StopSession":
                return partial(self._cancel, plan=self._plan({"a": ["one"]}, "command:sleep 300"))
            case "GetSession":
                return partial(self._play, plan=self._plan({"a": ["one"]}, "command:sleep 4; echo x > x.txt"))
            case kind if _AFTER_A_RUN.fullmatch(kind):
                return self._keep_house
            case "AnswerApproval" | "SendMessage":
                return self._answer
            case "hand_over":
                return self._draft
            case "park" | "ParkSession":
                return self._park
            case "suspend":
                # Its files stay, so the resumed session takes the other branch.
                later = "test -e tried || { touch tried; echo 'heddle-retry-after: 1'; exit 75; }; echo x > x"
                return partial(self._play, plan=self._plan({"a": ["one"]}, f"command:{later}"))
            case "agent":
                # An agent that can never continue a session would have none stored.
                command = f"acp:{sys.executable} {acp_agent.__file__} --load"
                return partial(self._play, plan=self._plan({"a": ["one"]}, command))
            case "take_in":
                plan = self._plan({"a": ["one"], "b": ["one"]})
                plan.epics[1].tasks[0].needs.append("a/one")
                return partial(self._play, plan=plan)
            case (
                "submit"
                | "finish_review"
                | "accept_reviewed"
                | "review_not_answered"
                | "submit_task"
                | "accept_submitted"
                | "DiffRevisions"
            ):
                return partial(self._play, plan=self._reviewed())
            case "start_candidate" | "accept_candidate":
                return partial(self._play, plan=self._compared())
            case "pass_candidate" | "finish_comparison":
                return partial(self._play, plan=self._judged())
            case "hold_epic":
                return self._leave_behind
            case "rewind":
                return self._go_back
            case "artifact":
                shot = f"mkdir -p .heddle/screenshots; cp {self._folder}/picture.png .heddle/screenshots/; echo x > x"
                return partial(self._play, plan=self._plan({"a": ["one"]}, f"command:{shot}"))
            case _:
                return self.usual

    def _plan(self, epics: dict[str, list[str]], agent: str = "") -> pb.Plan:
        own = f"command:{sys.executable} -S {_AGENT} {self._folder / 'journal'} 2 0 0"
        plan = pb.Plan(name="Matrix", defaults=task_defaults(agent or own, retries=1))
        for key, tasks in epics.items():
            plan.epics.add(key=key, tasks=[pb.PlanTask(key=task, prompt="Go") for task in tasks])
        return plan

    def _reviewed(self) -> pb.Plan:
        """Returns a plan whose reviewer first does not answer, then rejects the work once, then passes it."""
        error = '{"findings": [{"severity": "error", "text": "no"}]}'
        answers = f"case $HEDDLE_ATTEMPT in 2) ;; 3) echo '{error}' ;; *) echo '{{\"findings\": []}}' ;; esac"
        plan = self._plan({"a": ["one"]}, "command:echo $HEDDLE_ATTEMPT > work.txt")
        plan.epics[0].reviews.add(agent=f"command:{answers}")
        return plan

    def _compared(self) -> pb.Plan:
        """Returns a plan with two tasks in a row, each of which two candidates try."""
        plan = self._plan({"a": ["one", "two"]}, "command:echo x > $HEDDLE_TASK.txt")
        for task in plan.epics[0].tasks:
            task.candidates.extend([pb.PlanCandidate(), pb.PlanCandidate()])
            task.score = "echo 1"
        return plan

    def _judged(self) -> pb.Plan:
        """Returns a plan whose candidates pass a review each before an agent compares them."""
        plan = self._compared()
        plan.epics[0].reviews.add(agent="command:echo '{\"findings\": []}'")
        for task in plan.epics[0].tasks:
            task.score = ""
            task.choose.agent = """command:echo '{"best": 2, "reason": "shorter"}'"""
        return plan

    def _tested_merge(self, command: str) -> pb.Plan:
        """Returns a plan whose merges have a check."""
        plan = self._plan({"a": ["one"], "b": ["one"]})
        plan.merge_checks.checks.add(name="whole", run=command)
        return plan

    def _blocked_merge(self, taken: Path) -> pb.Plan:
        """Returns a plan whose second epic ends once the branch into which it is to be merged is checked out."""
        waits = f"test $HEDDLE_EPIC = a || until test -e {taken}/README.md; do sleep 0.1; done"
        plan = self._plan({"a": ["one"], "b": ["one"]}, f"command:echo $HEDDLE_EPIC > $HEDDLE_EPIC; {waits}")
        plan.epics[1].depends_on.append("a")
        return plan

    async def _play(
        self,
        client: HeddleClient,
        point: str,
        plan: pb.Plan,
        *,
        target: str = "",
        succeeds: bool = True,
        at_once: int = 2,
    ) -> None:
        """Creates a run and watches it to its end."""
        if target:
            git(self._repository, "branch", target)
        request = pb.CreateRunRequest(
            plan=plan,
            project=str(self._repository),
            max_parallel=at_once,
            merge_into=target,
            request_id=point,
        )
        run = (await client.create_run(request)).name
        events = self.watched[f"{point} {run}"] = []
        async for answer in client.watch_run(run):
            events.extend(answer.events)
        ended = await client.get_run(run)
        if (ended.state == pb.RUN_STATE_SUCCEEDED) is not succeeds:
            self.wrong.append(f"{point}: its run is {pb.RunState.Name(ended.state)}: {ended.reason}")

    async def _draft(self, client: HeddleClient, point: str) -> None:
        """Drafts a plan, whose first answer is no plan."""
        plan = self._plan({"a": ["one"]}, "scripted")
        plan.epics[0].tasks[0].checks.add(name="ok", run="true")
        plan.epics[0].tasks[0].estimate.FromSeconds(60)
        answer = self._folder / "drafted.json"
        answer.write_text(json.dumps(writing.plain_of(plan)))
        agent = f"command:if grep -q 'has no plan'; then cat {answer}; else echo hm; fi"
        request = pb.DraftPlanRequest(goal="Go", agent=agent, project=str(self._repository), request_id=point)
        run = (await client.draft_plan(request)).name
        events = self.watched[f"{point} {run}"] = []
        async for each in client.watch_run(run):
            events.extend(each.events)
        found = await client.get_draft(run)
        if found.handovers != 2 or not found.HasField("plan"):
            self.wrong.append(f"{point}: its draft is {found}")

    async def _lose_worker(self, client: HeddleClient, point: str) -> None:
        """Kills the agents' service in the middle of a run, and records that."""
        plan = self._plan({"a": ["one"]}, "command:sleep 3; echo x > x.txt")
        # The process that must die at the point; it may already die when it records an earlier event.
        scheduler = self._fleet._processes["scheduler_svc"]
        playing = asyncio.create_task(self._play(client, point, plan))
        await self._seen(point, "session_started")
        self._fleet.kill("agent_svc")
        await until(lambda: scheduler.poll() is not None)
        await self._fleet.start("agent_svc")
        await playing

    async def _cancel(self, client: HeddleClient, point: str, plan: pb.Plan) -> None:
        playing = asyncio.create_task(self._play(client, point, plan, succeeds=False))
        run = await self._seen(point, "session_started")
        await client.cancel_run(run)
        await playing

    async def _block(self, client: HeddleClient, point: str, *, cancels: bool) -> None:
        """Makes a merge wait for a checked-out branch, then cancels the run or frees the branch."""
        # An agent cannot check it out: in its sandbox, git does not find the worktrees of other runs and fails.
        taken = self._folder / f"taken-{point}"
        plan = self._blocked_merge(taken)
        playing = asyncio.create_task(self._play(client, point, plan, succeeds=not cancels))
        run = await self._seen(point, "merge_finished")
        git(self._repository, "worktree", "add", "--quiet", str(taken), RunName.parse(run).branch)
        await self._seen(point, "merge_held")
        if cancels:
            await client.cancel_run(run)
            await playing
        git(self._repository, "worktree", "remove", "--force", str(taken))
        await playing

    async def _answer(self, client: HeddleClient, point: str) -> None:
        """Sends a message to an agent that asks, and then answers its question."""
        plan = self._plan({"a": ["one"]}, "scripted")
        plan.epics[0].tasks[0].script.add().ask.question = "May I?"
        playing = asyncio.create_task(self._play(client, point, plan))
        run = await self._seen(point, "approval_requested")
        asked = next(each for each in self._events(point) if each.HasField("approval_requested"))
        attempt = f"{run}/epics/{asked.epic}/tasks/{asked.task}/attempts/{asked.attempt}"
        await client.send_message(attempt, "Be quick", message_id=point)
        try:
            await client.resolve_approval(attempt, asked.approval_requested.approval_id, approved=True)
        except HeddleError as refused:
            # The killed call had reached the agent, which has ended meanwhile.
            if refused.reason != pb.ERROR_REASON_WRONG_STATE:
                raise
        await playing

    async def _keep_house(self, client: HeddleClient, point: str) -> None:
        """Leaves work in the worktree of a failed epic, which is archived, restored and archived again."""
        await self._play(client, point, self._plan({"a": ["one"]}, "command:exit 3"), succeeds=False)
        run = self._events(point)[0].run
        [epic] = await client.list_epics(run)
        Path(epic.worktree_path, "left.txt").write_text("left")
        await self.collect(client, run)
        restored = await client.restore_epic_worktree(f"{epic.name}/worktree")
        if Path(restored.path, "left.txt").read_text() != "left":
            self.wrong.append(f"{point}: what lay in the worktree did not come back")
        await self.collect(client, run)
        git(self._repository, "cat-file", "-e", f"refs/heddle/archive/{run.split('/')[1]}/a:left.txt")

    async def collect(self, client: HeddleClient, parent: str = "runs/-") -> None:
        """Requests the removal of worktrees until none is left."""
        while any(each.path for each in await client.list_epic_worktrees(parent)):
            await client.collect_garbage()
            await asyncio.sleep(0.2)  # until they have been kept for long enough

    async def _park(self, client: HeddleClient, point: str) -> None:
        """Answers an agent whose slot another epic uses meanwhile."""
        plan = self._plan({"a": ["one"], "b": ["one"]}, "scripted")
        plan.epics[0].tasks[0].script.add().ask.question = "May I?"
        playing = asyncio.create_task(self._play(client, point, plan, at_once=1))
        await until(lambda: any(each.task_waiting.parked for each in self._events(point)))
        run = self._events(point)[0].run
        [approval] = [each for each in await client.list_approvals() if each.attempt.startswith(f"{run}/")]
        await client.resolve_approval(approval.attempt, approval.approval_id, approved=True)
        await playing

    async def _leave_behind(self, client: HeddleClient, point: str) -> None:
        """Lets an epic continue without the commit of its branch that conflicts with it."""
        go, target = self._folder / f"go-{point}", f"side/{point}"
        waits = f"test $HEDDLE_TASK = two || until test -e {go}; do sleep 0.1; done"
        plan = self._plan({"a": ["one", "two"]}, f"command:{waits}; echo $HEDDLE_TASK > work.txt")
        plan.sync = pb.SYNC_POLICY_BETWEEN_TASKS
        playing = asyncio.create_task(self._play(client, point, plan, target=target, succeeds=False))
        run = await self._seen(point, "session_started")
        fast_import(self._repository, target, {"work.txt": "theirs"}, target)
        go.touch()
        await self._seen(point, "sync_conflicted")
        await client.sync_base(run, cancel=True)
        await playing

    async def _go_back(self, client: HeddleClient, point: str) -> None:
        """Redoes both tasks of an epic once it waits to be merged, and then merges it."""
        plan = self._plan({"a": ["one", "two"]})
        plan.defaults.merge = pb.MERGE_POLICY_MANUAL
        playing = asyncio.create_task(self._play(client, point, plan))
        run = await self._seen(point, "merge_waiting")
        await client.retry_task(f"{run}/epics/a/tasks/one", from_here=True)
        await until(lambda: sum(event.HasField("merge_waiting") for event in self._events(point)) == 2)
        await client.retry_merge(f"{run}/epics/a")
        await playing

    def _events(self, point: str) -> list[pb.Event]:
        return next((events for name, events in self.watched.items() if name.startswith(f"{point} ")), [])

    def has_seen(self, point: str, kind: str) -> bool:
        return any(event.WhichOneof("payload") == kind for event in self._events(point))

    async def _seen(self, point: str, kind: str) -> str:
        """Returns the name of the point's run once an event of `kind` was seen in it."""
        await until(lambda: self.has_seen(point, kind))
        return self._events(point)[0].run
