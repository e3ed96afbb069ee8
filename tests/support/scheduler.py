"""A scheduler over real gRPC with a fake worker, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from heddle import pb
from heddle.config import Settings
from heddle.errors import HeddleError
from heddle.rpc.channels import open_channel
from heddle.rpc.serving import Server
from heddle.testing.fake_worker import FakeWorker
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceStub
from scheduler_svc.app import App, build
from tests.support.callers import ADA
from tests.support.migrated import sqlite_file
from tests.support.services import new_socket

if TYPE_CHECKING:
    # Exists only in the stub file.
    from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceAsyncStub


@dataclass
class Scheduler:
    """A running scheduler and a client of it."""

    app: App
    api: "SchedulerServiceAsyncStub"
    address: str

    async def create(self, plan: pb.Plan, **fields: Any) -> str:
        """Creates a run; returns its name."""
        request = pb.CreateRunRequest(plan=plan, project="/repository", **fields)
        return (await self.api.CreateRun(request)).run.name

    async def until(self, run: str, done: Callable[[pb.Event], bool], after: int = 0) -> list[pb.Event]:
        """Returns the events after `after` up to the first that is `done`, or to the run's end."""
        events: list[pb.Event] = []
        watch = self.api.WatchRun(pb.WatchRunRequest(name=run, after_sequence=after))
        async for answer in watch:
            for event in answer.events:
                events.append(event)
                if done(event):
                    watch.cancel()
                    return events
        return events

    async def finished(self, run: str, after: int = 0) -> list[pb.Event]:
        """Returns the events after `after` until the run has ended."""
        return await self.until(run, lambda event: event.HasField("run_finished"), after)

    async def run(self, name: str) -> pb.Run:
        return (await self.api.GetRun(pb.GetRunRequest(name=name))).run

    async def worker(self) -> pb.Worker:
        """Returns the only worker."""
        return (await self.api.ListWorkers(pb.ListWorkersRequest())).workers[0]

    async def tasks(self, run: str) -> dict[str, pb.Task]:
        """Returns the run's tasks by "epic/task"."""
        answer = await self.api.ListTasks(pb.ListTasksRequest(parent=f"{run}/epics/-", page_size=500))
        return {f"{task.name.split('/')[3]}/{task.key}": task for task in answer.tasks}

    async def epics(self, run: str) -> dict[str, pb.Epic]:
        answer = await self.api.ListEpics(pb.ListEpicsRequest(parent=run, page_size=500))
        return {epic.key: epic for epic in answer.epics}


async def eventually(check: Callable[[], Awaitable[bool] | bool]) -> None:
    """Polls until `check` returns True, for lack of an event to wait for; fails after 60 seconds."""
    async with asyncio.timeout(60):
        while True:
            said = check()
            if said if isinstance(said, bool) else await said:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving_fake(worker: FakeWorker, address: str = "") -> AsyncIterator[str]:
    """Serves a fake worker; yields its address."""
    server = Server(worker.service(), address or new_socket())
    await server.start()
    try:
        yield server.address
    finally:
        await server.stop()


@asynccontextmanager
async def scheduling(
    worker_address: str,
    home: Path,
    database_url: str = "",
    environ: Mapping[str, str] | None = None,
    worker_name: str = "local",
    **parts: Any,
) -> AsyncIterator[Scheduler]:
    """Serves a scheduler whose one worker listens at `worker_address`; `parts` replace those of build."""
    settings = {
        **(environ or {}),
        "HEDDLE_HOME": str(home),
        "HEDDLE_DATABASE_URL": database_url,
        "HEDDLE_WORKERS": f"{worker_name}={worker_address}+{worker_address}",
    }
    file = home / "heddle.db"
    if not database_url and not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sqlite_file())
    app = build(Settings.read(settings), **{"guard": ADA, **parts})
    server = Server(app.service(), "127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(server.address) as channel:
            yield Scheduler(app, SchedulerServiceStub(channel), server.address)
    finally:
        await server.stop()


# A call of a worker: the name of its method, and whether a request is the one that is meant.
Step: TypeAlias = tuple[str, Callable[[Any], bool]]


@asynccontextmanager
async def scheduling_after(
    step: Step, worker: FakeWorker, plan: pb.Plan, tmp_path: Path
) -> AsyncIterator[tuple[Scheduler, str]]:
    """Yields a scheduler that continues the run of an earlier one, which ended before the worker did `step`; and the run."""
    method, concerns = step
    arrived = asyncio.Event()
    broken = True

    def before(called: str, request: Any) -> None:
        if broken and called == method and concerns(request):
            arrived.set()
            raise HeddleError(pb.ERROR_REASON_DRAINING, "not now")

    worker.before = before
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path) as first:
            run = await first.create(plan)
            async with asyncio.timeout(60):
                await arrived.wait()
        broken = False
        async with scheduling(address, tmp_path) as second:
            yield second, run


def make_plan(epics: dict[str, list[str]], **defaults: Any) -> pb.Plan:
    """Returns a plan of epics with tasks, by their keys."""
    return pb.Plan(
        name="Sample plan",
        defaults=pb.TaskDefaults(**defaults),
        epics=[
            pb.PlanEpic(key=key, tasks=[pb.PlanTask(key=task, prompt=f"Do {task}") for task in tasks])
            for key, tasks in epics.items()
        ],
    )
