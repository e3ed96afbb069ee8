"""A scheduler and several workers as processes that share nothing but the remote of a project."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from heddle import pb
from heddle.client import HeddleClient
from tests.support.fleet import Fleet
from tests.support.ports import free_ports
from tests.support.repositories import fast_import, git
from tests.support.scheduler import eventually

# Each attempt says where and that it works, and works until the test lets its task, or all tasks, go.
AGENT = (
    'command:touch "$STAGE/$HEDDLE_EPIC-$HEDDLE_TASK-$HEDDLE_ATTEMPT@$WORKER";'
    ' until [ -e "$STAGE/go" ] || [ -e "$STAGE/go-$HEDDLE_EPIC-$HEDDLE_TASK" ]; do sleep 0.05; done;'
    " echo $HEDDLE_ATTEMPT@$WORKER > $HEDDLE_EPIC-$HEDDLE_TASK.txt"
)


class Places:
    """Workers w1, w2, … with one slot each, and a scheduler. `lease` is w1's, on which a first epic runs.

    w1 serves its projects by path to the others.
    """

    def __init__(self, folder: Path, count: int, lease: float, environment: dict[str, str]) -> None:
        self.folder = folder
        self.stage = folder / "stage"
        self.stage.mkdir(parents=True)
        self.remote = folder / "app.git"
        self.remote.mkdir()
        git(self.remote, "init", "--quiet", "--bare", "--initial-branch=trunk")
        fast_import(self.remote, "trunk", {"README.md": "# Sample\n"})
        self.workers = {
            f"w{number}": Fleet(
                folder / f"w{number}",
                {
                    "HEDDLE_SLOTS": "1",
                    # A busy machine may delay heartbeats: only the worker that a test loses has a short lease.
                    "HEDDLE_LEASE": str(lease if number == 1 else 300),
                    "HEDDLE_STOP_GRACE": "0",
                    "HEDDLE_AGENT_ENV": "STAGE,WORKER",
                    "STAGE": str(self.stage),
                    "WORKER": f"w{number}",
                    "HEDDLE_SANDBOX_WRITABLE": str(self.stage),
                    "HEDDLE_GIT_LISTEN": f"127.0.0.1:{free_ports(1)[0]}" if number == 1 else "",
                    **environment,
                },
            )
            for number in range(1, count + 1)
        }
        self.lease = lease
        self.environment = environment
        self.scheduler = self.new_scheduler(*self.workers)

    def new_scheduler(self, *names: str) -> Fleet:
        """Returns a scheduler, not started, that knows these workers."""
        addresses = (f"{name}={self.workers[name].worktree}+{self.workers[name].agent}" for name in names)
        return Fleet(
            self.folder / "scheduler",
            {
                "HEDDLE_WORKERS": ",".join(addresses) or "none",
                "HEDDLE_LEASE": str(self.lease),
                "HEDDLE_STOP_GRACE": "0",
                **self.environment,
            },
        )

    @property
    def url(self) -> str:
        return f"file://{self.remote}"

    async def start(self) -> None:
        for worker in self.workers.values():
            await worker.start("worktree_svc", "agent_svc")
        await self.scheduler.start("scheduler_svc")

    def stop(self) -> None:
        self.scheduler.stop()
        for worker in self.workers.values():
            worker.stop()

    def request(self, epics: dict[str, list[str]], **fields: object) -> pb.CreateRunRequest:
        """Returns the request of a run with these epics and tasks, which merges into trunk."""
        plan = pb.Plan(name="Placed", merge_into="trunk", defaults=pb.TaskDefaults(agent=AGENT, retries=0))
        for key, tasks in epics.items():
            plan.epics.add(key=key).tasks.extend(pb.PlanTask(key=task, prompt="Go") for task in tasks)
        request = pb.CreateRunRequest(plan=plan, project=self.url)
        request.MergeFrom(pb.CreateRunRequest(**fields))  # type: ignore[arg-type]  # the fields of a message
        return request

    def at_work(self) -> dict[str, str]:
        """Returns the worker of each attempt that has begun, by EPIC-TASK-ATTEMPT."""
        pairs = (path.name.partition("@") for path in self.stage.glob("*@*"))
        return {attempt: worker for attempt, _, worker in pairs}

    async def until_at_work(self, *attempts: str) -> dict[str, str]:
        """Waits until these attempts have begun; returns the worker of each attempt so far."""
        await eventually(lambda: set(attempts) <= self.at_work().keys())
        return self.at_work()

    def let_go(self, task: str = "") -> None:
        """Lets a task, given as EPIC-TASK, end; or all."""
        (self.stage / (f"go-{task}" if task else "go")).touch()

    def merged(self) -> dict[str, str]:
        """Returns the files that tasks wrote, with their content, as merged into trunk."""
        names = git(self.remote, "ls-tree", "--name-only", "trunk").split()
        return {
            name.removesuffix(".txt"): git(self.remote, "show", f"trunk:{name}")
            for name in names
            if name.endswith(".txt")
        }


@asynccontextmanager
async def places(
    folder: Path, count: int = 2, lease: float = 300, **environment: str
) -> AsyncIterator[Places]:
    """Runs workers and a scheduler; stops them at the end."""
    running = Places(folder, count, lease, environment)
    try:
        await running.start()
        yield running
    finally:
        running.let_go()
        running.stop()


async def events_of(client: HeddleClient, run: str) -> list[pb.Event]:
    """Returns all events of a run, once it has ended."""
    return [event async for answer in client.watch_run(run) for event in answer.events]
