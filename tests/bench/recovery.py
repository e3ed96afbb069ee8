"""Measures how soon a scheduler decides again after it was killed during many sessions.

The scheduler is a separate process; its worker is a fake behind the same gRPC services,
whose sessions continue while it is dead. One of them ends meanwhile, so there is something to
decide immediately: the next task of its epic starts. The time is from the start of the new
process, including its imports, to that decision, as recorded by the scheduler's clock.
"""

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.client import HeddleClient
from heddle.rpc.serving import Server
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.bench.table import Table
from tests.support.fleet import Fleet

SESSIONS: Final = (1, 50)

# Kills of each; the median is reported.
KILLS: Final = 5


async def run() -> Table:
    """Measures on SQLite; takes about half a minute."""
    with tempfile.TemporaryDirectory() as folder:
        taken = {count: await _measure(Path(folder) / str(count), count) for count in SESSIONS}
    one = statistics.median(taken[1])
    rows = [
        (
            f"{count} running session{'s' if count > 1 else ''}",
            f"{statistics.median(each):.2f}",
            f"{max(each):.2f}",
            f"{statistics.median(each) / one:.2f} x",
        )
        for count, each in taken.items()
    ]
    return Table(
        "Recovery of a killed scheduler",
        f"SIGKILL while so many sessions run, SQLite; {KILLS} kills of each. Seconds from the start of the new process"
        " to the first task that it starts. Ratio: to a single session.",
        ("what", "median seconds", "worst", "ratio"),
        rows,
    )


async def _measure(home: Path, sessions: int) -> list[float]:
    ends: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def play(session: FakeSession) -> pb.SessionFinished:
        await ends[session.request.attempt].wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    fake = FakeWorker(slots=sessions)
    fake.play = play
    worker = Server(fake.service(), "127.0.0.1:0")
    await worker.start()
    fleet = Fleet(home, {"HEDDLE_WORKERS": f"local={worker.address}+{worker.address}"})
    try:
        await fleet.start("scheduler_svc")
        async with fleet.client(patience=60) as client:
            return await _kill(fleet, client, fake, ends, sessions)
    finally:
        fleet.stop()
        await worker.stop()


async def _kill(
    fleet: Fleet,
    client: HeddleClient,
    fake: FakeWorker,
    ends: "defaultdict[str, asyncio.Event]",
    sessions: int,
) -> list[float]:
    plan = pb.Plan(name="recovery")
    for number in range(sessions):
        tasks = [pb.PlanTask(key=f"t{place}", prompt="Go") for place in range(KILLS + 1)]
        plan.epics.add(key=f"e{number}", tasks=tasks)
    request = pb.CreateRunRequest(plan=plan, project="/project", max_parallel=sessions)
    run = (await client.create_run(request)).name
    started: asyncio.Queue[float] = asyncio.Queue()

    async def watch() -> None:
        async for answer in client.watch_run(run):
            for event in answer.events:
                if event.HasField("task_started"):
                    await started.put(event.time.ToNanoseconds() / 1e9)

    watching = asyncio.create_task(watch())
    try:
        for _ in range(sessions):
            await started.get()
        while len(fake.live) < sessions:  # noqa: ASYNC110 (the fake has no event to wait for)
            await asyncio.sleep(0.01)
        taken = []
        for kill in range(KILLS):
            fleet.kill("scheduler_svc")
            ends[f"{run}/epics/e0/tasks/t{kill}/attempts/1"].set()
            begun = time.time()
            fleet.spawn("scheduler_svc")
            taken.append(await started.get() - begun)
        return taken
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
