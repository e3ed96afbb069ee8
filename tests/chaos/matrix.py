"""Kills a service at each failpoint in turn, while real agents work, and then looks for broken promises.

A few fleets work beside each other; each has one service that dies at its points, one after the
other. For each point there is a run that leads there. The next life of the service, armed with the
next point, takes up what the one before left: so many a restart is itself cut short.

python -m tests.chaos.matrix [POINT …]
"""

import asyncio
import base64
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from heddle import failpoints, pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from tests.chaos import evidence
from tests.support import acp_agent
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.repositories import git, make_repository

# Seconds until a service must have died at its point, and until all must be at rest.
DEADLINE: Final = 180
REST: Final = 240

SLOTS: Final = 16

# Fleets at a time. More would be no faster on two cores, and a burden to the tests beside them.
AT_ONCE: Final = 3

# Makes a run that leads to a point, and returns at its end.
Scenario: TypeAlias = Callable[[HeddleClient, str], Coroutine[Any, Any, None]]

_AGENT: Final = Path(__file__).with_name("soak_agent.py")
_PICTURE: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


# What removes old logs, after which nothing is left to judge by.
_UNJUDGED: Final = frozenset({"DeleteSessions", "prune_logs"})

# What is done about the worktrees of ended runs.
_AFTER_A_RUN: Final = re.compile(
    "ListWorktrees|ReleaseLease|RestoreWorktree|released?|restored?|end_errand|archive"
)

# Epics have places of their own, so that leases, setups and teardowns are cut short as well.
_PLACE: Final = "setup: echo $HEDDLE_PORT\nports: 2\nteardown: echo $HEDDLE_PORT\n"


@dataclass(frozen=True)
class Crossing:
    """One service and the points at which it is to die, in order."""

    service: str
    points: Sequence[str]


def crossings(points: Iterable[str]) -> list[Crossing]:
    """Returns the fleets to run: none of them much longer than another."""
    chosen = sorted(point for point in points if point.partition(".")[0] not in _UNJUDGED)
    kinds = {
        "scheduler_svc": [each for each in chosen if each.endswith(("_commit", "_call"))],
        "agent_svc": [each for each in chosen if each.endswith("_sync")],
        "worktree_svc": [
            each
            for each in chosen
            if each.startswith("fence.") or not each.endswith(("_commit", "_call", "_sync"))
        ],
    }
    lanes = {"scheduler_svc": 3, "agent_svc": 2, "worktree_svc": 2}
    # A fence is only written where a leader is new: at the beginning.
    order = {
        service: sorted(each, key=lambda point: not point.startswith("fence."))
        for service, each in kinds.items()
    }
    found = [
        Crossing(service, order[service][lane::count])
        for service, count in lanes.items()
        for lane in range(count)
    ]
    return [each for each in found if each.points]


class Lane:
    """One fleet whose `service` dies at each of its points."""

    def __init__(self, folder: Path, crossing: Crossing) -> None:
        self._folder = folder
        self._service, self._points = crossing.service, crossing.points
        self._repository = make_repository(
            folder / "repository", {"README.md": "# Sample\n", ".heddle.yaml": _PLACE}
        )
        self._home = folder / "home"
        for name in ("journal", "scratch"):
            (folder / name).mkdir()
        (folder / "picture.png").write_bytes(_PICTURE)
        settings = {
            "TMPDIR": str(folder / "scratch"),
            "HEDDLE_STOP_GRACE": "1",
            "HEDDLE_SLOTS": str(SLOTS),
            "HEDDLE_PARK_AFTER": "0",
            # Nine seconds, so that some worktrees outlive their run.
            "HEDDLE_KEEP_WORKTREES": "0.0001",
            # The journal, and the picture.
            "HEDDLE_SANDBOX_WRITABLE": str(folder),
        }
        self._fleet = Fleet(self._home, settings)
        self._watched: dict[str, list[pb.Event]] = {}
        self._wrong: list[str] = []
        self._usual_runs: list[asyncio.Task[None]] = []

    async def run(self) -> list[str]:
        """Returns what was broken."""
        try:
            await self._fleet.start(*(each for each in GRPC_SERVICES if each != self._service))
            async with HeddleClient(self._fleet.scheduler, actor="user:ada", patience=REST) as client:
                working = [task for point in self._points for task in await self._cross(client, point)]
                await self._fleet.start(self._service)
                async with asyncio.timeout(REST):
                    await asyncio.gather(*working)
                await self._settle(client)
        except TimeoutError:
            self._wrong.append(f"{self._service}: not at rest after {REST} s")
        finally:
            self._fleet.stop()
        self._judge()
        return self._wrong

    async def _cross(self, client: HeddleClient, point: str) -> list[asyncio.Task[None]]:
        """Returns once the service has died at `point`, with the runs that were made for that and go on."""
        process = self._spawn(point)
        scenario = self._scenario(point)
        usual = scenario == self._usual
        if usual:
            # What runs already may lead there.
            await self._until(lambda: process.poll() is not None or not self._under_way())
        working: list[asyncio.Task[None]] = []
        if process.poll() is None:
            working.append(asyncio.create_task(scenario(client, point)))
            if usual:
                self._usual_runs += working
        if point.startswith("GetSession."):
            # It is asked of sessions that are there when a leader is new.
            await self._until(lambda: process.poll() is not None or self._has_seen(point, "session_started"))
            if process.poll() is None:
                self._fleet.kill(self._service)
                process = self._spawn(point)
        await self._until(lambda: process.poll() is not None or all(each.done() for each in working))
        if process.poll() != -signal.SIGKILL:
            self._wrong.append(f"{point} was never reached")
            self._fleet.kill(self._service)
        if self._service == "agent_svc":
            # A task is not to lose so many sessions that it is given up.
            await self._fleet.start(self._service)
            await asyncio.gather(*working)
            self._fleet.kill(self._service)
        return working

    def _spawn(self, point: str) -> "subprocess.Popen[bytes]":
        return self._fleet.spawn(self._service, {"HEDDLE_FAILPOINT": point})

    def _under_way(self) -> bool:
        return any(not run.done() for run in self._usual_runs)

    async def _usual(self, client: HeddleClient, point: str) -> None:
        await self._play(client, point, self._plan({"a": ["flaky"], "b": ["one"]}))

    def _scenario(self, point: str) -> Scenario:  # noqa: C901, PLR0911, PLR0912 (one for each kind)
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
                return partial(self._play, plan=self._blocked_merge(), succeeds=False)
            case "StopSession":
                return partial(self._cancel, plan=self._plan({"a": ["one"]}, "command:sleep 300"))
            case "GetSession":
                return partial(self._play, plan=self._plan({"a": ["one"]}, "command:sleep 4; echo x > x.txt"))
            case kind if _AFTER_A_RUN.fullmatch(kind):
                return self._keep_house
            case "AnswerApproval" | "SendMessage":
                return self._answer
            case "park" | "ParkSession":
                return self._park
            case "agent":
                # One that never could go on with a session would have none remembered.
                command = f"acp:{sys.executable} {acp_agent.__file__} --load"
                return partial(self._play, plan=self._plan({"a": ["one"]}, command))
            case "rewind":
                return self._go_back
            case "artifact":
                shot = f"mkdir -p .heddle/screenshots; cp {self._folder}/picture.png .heddle/screenshots/; echo x > x"
                return partial(self._play, plan=self._plan({"a": ["one"]}, f"command:{shot}"))
            case _:
                return self._usual

    def _plan(self, epics: dict[str, list[str]], agent: str = "") -> pb.Plan:
        own = f"command:{sys.executable} -S {_AGENT} {self._folder / 'journal'} 2 0 0"
        plan = pb.Plan(name="Matrix", defaults=pb.TaskDefaults(agent=agent or own, retries=1))
        for key, tasks in epics.items():
            plan.epics.add(key=key, tasks=[pb.PlanTask(key=task, prompt="Go") for task in tasks])
        return plan

    def _tested_merge(self, command: str) -> pb.Plan:
        """Returns a plan whose merges have a check."""
        plan = self._plan({"a": ["one"], "b": ["one"]})
        plan.merge_checks.checks.add(name="whole", run=command)
        return plan

    def _blocked_merge(self) -> pb.Plan:
        """Returns a plan whose second epic checks out the branch into which it is to be merged."""
        checkout = f"git -C {self._repository} worktree add -q {self._folder}/taken heddle/$HEDDLE_RUN/merged"
        plan = self._plan(
            {"a": ["one"], "b": ["one"]},
            f"command:echo $HEDDLE_EPIC > $HEDDLE_EPIC; test $HEDDLE_EPIC = a || test -d {self._folder}/taken || {checkout}",
        )
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
        """Makes a run and watches it to its end."""
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
        events = self._watched[f"{point} {run}"] = []
        async for answer in client.watch_run(run):
            events.extend(answer.events)
        ended = await client.get_run(run)
        if (ended.state == pb.RUN_STATE_SUCCEEDED) is not succeeds:
            self._wrong.append(f"{point}: its run is {pb.RunState.Name(ended.state)}: {ended.reason}")
        if plan.epics[-1].depends_on and (self._folder / "taken").exists():
            git(self._repository, "worktree", "remove", "--force", str(self._folder / "taken"))

    async def _lose_worker(self, client: HeddleClient, point: str) -> None:
        """Kills the agents' service in the midst of a run, which is written down."""
        plan = self._plan({"a": ["one"]}, "command:sleep 3; echo x > x.txt")
        # The one that is to die; what else is written down may have ended it before.
        scheduler = self._fleet._processes["scheduler_svc"]
        playing = asyncio.create_task(self._play(client, point, plan))
        await self._seen(point, "session_started")
        self._fleet.kill("agent_svc")
        await self._until(lambda: scheduler.poll() is not None)
        await self._fleet.start("agent_svc")
        await playing

    async def _cancel(self, client: HeddleClient, point: str, plan: pb.Plan) -> None:
        playing = asyncio.create_task(self._play(client, point, plan, succeeds=False))
        run = await self._seen(point, "session_started")
        await client.cancel_run(run)
        await playing

    async def _answer(self, client: HeddleClient, point: str) -> None:
        """Says something to an agent that asks, and then answers it."""
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
            # The call that died had told the agent, which has ended meanwhile.
            if refused.reason != pb.ERROR_REASON_WRONG_STATE:
                raise
        await playing

    async def _keep_house(self, client: HeddleClient, point: str) -> None:
        """Leaves work in the worktree of a failed epic, has it archived, restored and archived again."""
        await self._play(client, point, self._plan({"a": ["one"]}, "command:exit 3"), succeeds=False)
        run = self._events(point)[0].run
        [epic] = await client.list_epics(run)
        Path(epic.worktree_path, "left.txt").write_text("left")
        await self._collect(client, run)
        restored = await client.restore_epic_worktree(f"{epic.name}/worktree")
        if Path(restored.path, "left.txt").read_text() != "left":
            self._wrong.append(f"{point}: what lay in the worktree did not come back")
        await self._collect(client, run)
        git(self._repository, "cat-file", "-e", f"refs/heddle/archive/{run.split('/')[1]}/a:left.txt")

    async def _collect(self, client: HeddleClient, parent: str = "runs/-") -> None:
        """Asks for the removal of worktrees until none is left."""
        while any(each.path for each in await client.list_epic_worktrees(parent)):
            await client.collect_garbage()
            await asyncio.sleep(0.2)  # until they have been kept for long enough

    async def _park(self, client: HeddleClient, point: str) -> None:
        """Answers an agent whose slot another epic has taken meanwhile."""
        plan = self._plan({"a": ["one"], "b": ["one"]}, "scripted")
        plan.epics[0].tasks[0].script.add().ask.question = "May I?"
        playing = asyncio.create_task(self._play(client, point, plan, at_once=1))
        await self._until(lambda: any(each.task_waiting.parked for each in self._events(point)))
        run = self._events(point)[0].run
        [approval] = [each for each in await client.list_approvals() if each.attempt.startswith(f"{run}/")]
        await client.resolve_approval(approval.attempt, approval.approval_id, approved=True)
        await playing

    async def _go_back(self, client: HeddleClient, point: str) -> None:
        """Has both tasks of an epic done anew once it waits to be merged, and then merges it."""
        plan = self._plan({"a": ["one", "two"]})
        plan.defaults.merge = pb.MERGE_POLICY_MANUAL
        playing = asyncio.create_task(self._play(client, point, plan))
        run = await self._seen(point, "merge_waiting")
        await client.retry_task(f"{run}/epics/a/tasks/one", from_here=True)
        await self._until(lambda: sum(event.HasField("merge_waiting") for event in self._events(point)) == 2)
        await client.retry_merge(f"{run}/epics/a")
        await playing

    def _events(self, point: str) -> list[pb.Event]:
        return next((events for name, events in self._watched.items() if name.startswith(f"{point} ")), [])

    def _has_seen(self, point: str, kind: str) -> bool:
        return any(event.WhichOneof("payload") == kind for event in self._events(point))

    async def _seen(self, point: str, kind: str) -> str:
        """Returns the name of the point's run once an event of `kind` was seen in it."""
        await self._until(lambda: self._has_seen(point, kind))
        return self._events(point)[0].run

    async def _until(self, true: Callable[[], bool]) -> None:
        """Waits for what has no event that could be waited for; goes on after the deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE):
                while not true():  # noqa: ASYNC110 (processes and logs ring no bell)
                    await asyncio.sleep(0.02)

    async def _settle(self, client: HeddleClient) -> None:
        """Lets a new leader remove what could not be removed before."""
        self._fleet.kill("scheduler_svc")
        await self._fleet.start("scheduler_svc")
        async with asyncio.timeout(REST):
            await self._collect(client)
            while evidence.files_left(self._home, self._repository, self._folder / "scratch"):  # noqa: ASYNC110 (git rings no bell)
                await asyncio.sleep(0.5)

    def _judge(self) -> None:
        records = evidence.Records(f"sqlite:///{self._home / 'heddle.db'}")
        self._wrong += records.violations(self._repository)
        for name, events in self._watched.items():
            self._wrong += records.watched(name.partition(" ")[2], events)
        self._wrong += evidence.journal_says(self._folder / "journal")
        self._wrong += evidence.processes_below(self._folder)
        self._wrong += evidence.repository_is_sound(self._repository)
        self._wrong += evidence.files_left(self._home, self._repository, self._folder / "scratch")


async def cross(points: Iterable[str]) -> list[str]:
    """Dies at each of `points`; returns what was broken. Then the folder, with every log, is kept and named."""
    # The names of sockets below it must be short.
    folder = Path(tempfile.mkdtemp(prefix="heddle-matrix-"))
    lanes = []
    for number, each in enumerate(crossings(points)):
        (folder / str(number)).mkdir()
        lanes.append(Lane(folder / str(number), each))
    free = asyncio.Semaphore(AT_ONCE)

    async def crossed(lane: Lane) -> list[str]:
        async with free:
            return await lane.run()

    async with asyncio.TaskGroup() as group:
        crossing = [group.create_task(crossed(lane)) for lane in lanes]
    wrong = [each for lane in crossing for each in lane.result()]
    if wrong:
        return [*wrong, f"logs and databases are kept in {folder}"]
    shutil.rmtree(folder)
    return []


if __name__ == "__main__":
    broken = asyncio.run(cross(sys.argv[1:] or failpoints.NAMES))
    print("\n".join(broken))
    sys.exit(bool(broken))
