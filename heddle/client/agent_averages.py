"""What accepted tasks of the newest runs took and cost, by agent: estimates of what a plan will."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from heddle import pb
from heddle.client.client import HeddleClient

# How many of the newest runs are looked at.
RUNS: Final = 20


class Learned(NamedTuple):
    """Average duration and cost (in micros) of an agent's accepted tasks. Cost is None if any is unknown."""

    seconds: float
    cost: float | None


async def learn(client: HeddleClient) -> dict[str, Learned]:
    """Returns the averages of each agent that has an accepted task; raises as calls do."""
    runs = (await client.list_runs(page_size=RUNS)).runs
    listed = await asyncio.gather(
        *(client.list_attempts(f"{run.name}/epics/-/tasks/-") for run in runs if not run.draft)
    )
    by_agent: defaultdict[str, list[pb.Attempt]] = defaultdict(list)
    for attempt in (each for found in listed for each in found):
        if attempt.state == pb.ATTEMPT_STATE_ACCEPTED:
            by_agent[attempt.agent].append(attempt)
    return {agent: mean(each) for agent, each in by_agent.items()}


def mean(attempts: Sequence[pb.Attempt]) -> Learned:
    """Returns the averages of at least one attempt."""
    seconds = [(each.end_time.ToNanoseconds() - each.start_time.ToNanoseconds()) / 1e9 for each in attempts]
    known = not any(each.usage.cost_incomplete for each in attempts)
    costs = [each.usage.cost_usd_micros for each in attempts]
    return Learned(sum(seconds) / len(seconds), sum(costs) / len(costs) if known else None)
