"""Empty tasks through the real scheduler and its database, and through DBOS, in the same shape.

The scheduler is a separate process. Its worker is a fake behind the same gRPC
services, so for each task it makes the worktree, starts and watches the session,
commits, and notifies the client: only agents and git are left out.
"""

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from heddle import pb
from heddle.client import HeddleClient
from heddle.rpc.serving import Server
from heddle.testing.fake_worker import FakeWorker
from tests.bench.link import slow_link
from tests.bench.table import Table, milliseconds
from tests.support.fleet import Fleet
from tests.support.postgres import at, running_postgres
from tests.support.services import new_socket

EPICS: Final = 20
TASKS: Final = 10

# Milliseconds that the network adds to a round trip.
DELAY: Final = 1.0

# Runs of each; the one with the median wall time is reported.
RUNS: Final = 3


class Figures(NamedTuple):
    """The times of one run, in seconds."""

    # From the start of the first task to the end of the last.
    wall: float
    # From the end of a task to the end of the next in its epic.
    gaps: list[float]


async def run() -> Table:
    """Measures SQLite, PostgreSQL, and PostgreSQL over a slow network, one after another; takes about two minutes."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running_postgres(folder / "postgres", durable=True))
        link = await stack.enter_async_context(slow_link(server.socket, DELAY))
        rows = []
        databases_by_name: dict[str, Callable[[str], str]] = {
            "SQLite, full sync": lambda key: f"sqlite:///{folder / key}.db",
            "PostgreSQL": server.new_database,
            f"PostgreSQL, {DELAY:g} ms added": lambda key: at(server.new_database(f"slow_{key}"), link),
        }
        for place, (name, databases) in enumerate(databases_by_name.items()):
            ours = await _heddle(folder / f"home-{place}", databases("heddle"))
            steps = _median([await _dbos(databases(f"steps{run}"), "steps") for run in range(RUNS)])
            queue = _median([await _dbos(databases(f"queue{run}"), "queue") for run in range(RUNS)])
            rows += [
                _row(f"Heddle, {name}", ours, ours),
                _row(f"DBOS steps, {name}", steps, ours),
                _row(f"DBOS queue, {name}", queue, ours),
            ]
    return Table(
        "Scheduling",
        f"{EPICS} epics of {TASKS} empty tasks, all epics at once; the median of {RUNS} runs; no randomness. A DBOS step is a function "
        "call in one process that records its result: no limit, nothing handed over. A DBOS queue keeps the "
        "limit and hands tasks over, as Heddle does. Ratio: how much longer than Heddle it takes a task.",
        ("what", "ms a task (wall / tasks)", "ratio", "median ms from task to task in an epic", "ratio"),
        rows,
    )


async def _heddle(home: Path, database_url: str) -> Figures:
    worker = Server(FakeWorker(slots=EPICS).service(), new_socket())
    await worker.start()
    fleet = Fleet(
        home,
        {"HEDDLE_WORKERS": f"local={worker.address}+{worker.address}", "HEDDLE_DATABASE_URL": database_url},
    )
    try:
        await fleet.start("scheduler_svc")
        async with fleet.client() as client:
            await _events(client)  # warms up connections and caches
            return _median([figures(await _events(client)) for _ in range(RUNS)])
    finally:
        fleet.stop()
        await worker.stop()


async def _events(client: HeddleClient) -> list[pb.Event]:
    plan = pb.Plan(name="bench", epics=[_epic(f"epic-{number}") for number in range(EPICS)])
    request = pb.CreateRunRequest(plan=plan, project="/project", max_parallel=EPICS)
    run = await client.create_run(request)
    return [event async for answer in client.watch_run(run.name) for event in answer.events]


def _epic(key: str) -> pb.PlanEpic:
    tasks = [pb.PlanTask(key=f"task-{number}", prompt="Do nothing.") for number in range(TASKS)]
    return pb.PlanEpic(key=key, tasks=tasks)


def figures(events: list[pb.Event]) -> Figures:
    """Reads the figures from the run's log, whose times are the scheduler's."""
    (began,) = (_seconds(event) for event in events if event.HasField("run_started"))
    ends: dict[str, list[float]] = {}
    for event in events:
        if event.HasField("task_accepted"):
            ends.setdefault(event.epic, [began]).append(_seconds(event))
    if sorted(map(len, ends.values())) != [TASKS + 1] * EPICS:
        raise RuntimeError("not every task was accepted once")
    return Figures(max(map(max, ends.values())) - began, list(_gaps(ends)))


def _median(runs: list[Figures]) -> Figures:
    return sorted(runs)[len(runs) // 2]


def _gaps(ends: Mapping[str, list[float]]) -> Iterator[float]:
    for times in ends.values():
        yield from (after - before for before, after in pairwise(times))


def _seconds(event: pb.Event) -> float:
    return event.time.ToNanoseconds() / 1e9


async def _dbos(database_url: str, shape: str) -> Figures:
    arguments = ["-m", "tests.bench.dbos_program", database_url, shape, str(EPICS), str(TASKS), str(EPICS)]
    program = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    if program.returncode:
        raise RuntimeError(f"DBOS failed: {err.decode()[-2000:]}")
    return Figures(**json.loads(out.splitlines()[-1]))


def _row(name: str, taken: Figures, ours: Figures) -> tuple[str, ...]:
    tasks = EPICS * TASKS
    median, our_median = statistics.median(taken.gaps), statistics.median(ours.gaps)
    return (
        name,
        milliseconds(taken.wall / tasks),
        f"{taken.wall / ours.wall:.2f} x",
        milliseconds(median),
        f"{median / our_median:.2f} x",
    )
