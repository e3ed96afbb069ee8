"""The runs of a soak: their plans, and how a client watches or cancels them."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from heddle import pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from tests.chaos.plans import task_defaults


def soak_plan(chance: random.Random, agent: str, *, most_epics: int, depends: float) -> pb.Plan:
    """Returns a plan of a few small epics, each of which depends on the one before with this probability."""
    plan = pb.Plan(name="Soak", defaults=task_defaults(agent, retries=2))
    for place in range(chance.randint(2, most_epics)):
        depends_on = [f"e{place - 1}"] if place and chance.random() < depends else []
        epic = plan.epics.add(key=f"e{place}", depends_on=depends_on)
        for number in range(chance.randint(1, 3)):
            epic.tasks.add(key=f"t{number}", prompt="Go")
    return plan


@asynccontextmanager
async def watched(client: HeddleClient, run: str, events: list[pb.Event]) -> AsyncIterator[None]:
    """Collects the events of a run during the block and until the run has ended."""
    watching = asyncio.create_task(_watch(client, run, events))
    try:
        yield
        await watching
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(client: HeddleClient, run: str, events: list[pb.Event]) -> None:
    async for answer in client.watch_run(run):
        events.extend(answer.events)


async def cancel(client: HeddleClient, run: str) -> bool:
    """Cancels a run; returns False if it had already ended."""
    try:
        await client.cancel_run(run)
    except HeddleError as refused:
        if refused.reason != pb.ERROR_REASON_WRONG_STATE:
            raise
        return False
    return True
