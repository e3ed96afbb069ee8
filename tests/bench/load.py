"""How long others wait for the scheduler while one client asks for too much."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc

from heddle import pb
from heddle.testing.fake_worker import FakeWorker
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceStub
from tests.bench.table import Table, milliseconds
from tests.support.scheduler import Scheduler, make_plan, scheduling, serving_fake

# Together just below the limit of a message.
EMPTY_EPICS: Final = 1_900_000
WATCHES: Final = 2_000
# Seconds for which the scheduler is observed without load, and with all watches open.
OBSERVED: Final = 5.0

_METHOD: Final = "/heddle.v1.SchedulerService/CreateRun"


async def run() -> Table:
    """Measures one scheduler in this process; takes about half a minute."""
    empty = _request(pb.Plan(name="x", epics=[pb.PlanEpic()] * EMPTY_EPICS))
    largest = _request(make_plan({f"e{epic}": [f"t{task}" for task in range(10)] for epic in range(1_000)}))
    with tempfile.TemporaryDirectory() as home:
        async with (
            serving_fake(FakeWorker()) as worker,
            scheduling(worker, Path(home)) as scheduler,
            grpc.aio.insecure_channel(
                scheduler.address, options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel,
        ):
            create: Any = channel.unary_unary(_METHOD)
            idle = await _longest(scheduler, lambda: asyncio.sleep(OBSERVED))
            loads: dict[str, Callable[[], Awaitable[Any]]] = {
                "one plan of 1.9 million empty epics": lambda: create(empty),
                "four of them": lambda: asyncio.gather(*(create(empty) for _ in range(4))),
                "the largest valid plan": lambda: create(largest),
                "2,000 watches of one connection": lambda: _watch(channel),
            }
            found = {name: await _longest(scheduler, load) for name, load in loads.items()}
    rows = [(name, milliseconds(took), f"{took / idle:.1f}") for name, took in found.items()]
    return Table(
        "Under load",
        "One scheduler and its client in one process; the longest of the answers to ListRuns during each load.",
        ("load", "longest answer, ms", "ratio to idle"),
        [("none", milliseconds(idle), "1.0"), *rows],
    )


def _request(plan: pb.Plan) -> bytes:
    request = pb.CreateRunRequest(plan=plan, project="/repository", validate_only=True)
    return request.SerializeToString()


async def _longest(scheduler: Scheduler, load: Callable[[], Awaitable[Any]]) -> float:
    """Returns the seconds of the slowest other call while `load` runs."""
    took: list[float] = []

    async def ask() -> None:
        while True:
            # From when it should have been sent: the client waits for the same event loop.
            due = time.perf_counter() + 0.01
            await asyncio.sleep(0.01)
            await scheduler.api.ListRuns(pb.ListRunsRequest(page_size=1))
            took.append(time.perf_counter() - due)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.1)
    with suppress(grpc.aio.AioRpcError):
        await load()
    # The answer to the call that the load delayed.
    answered = len(took)
    while len(took) == answered:  # noqa: ASYNC110 (an event would slow the calls that are measured)
        await asyncio.sleep(0.01)
    asking.cancel()
    return max(took)


async def _watch(channel: grpc.aio.Channel) -> None:
    stub = SchedulerServiceStub(channel)

    async def watch() -> None:
        with suppress(grpc.aio.AioRpcError):
            async for _ in stub.WatchRuns(pb.WatchRunsRequest()):
                pass

    watching = [asyncio.create_task(watch()) for _ in range(WATCHES)]
    await asyncio.sleep(OBSERVED)
    for each in watching:
        each.cancel()
