"""`heddle plan simulate`: how long a plan takes with more sessions or fewer, and what it costs."""

import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich.table import Table

from heddle import pb
from heddle.cli.console import output, words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.client import HeddleClient, ServerUnreachable
from heddle.errors import HeddleError
from heddle.plan.rules import resolved_agent

# The newest runs from which is learned how long tasks take.
RUNS: Final = 20


class Learned(NamedTuple):
    """What an agent's accepted tasks took and cost on average. Micros; None where not all of them are known."""

    seconds: float
    cost: float | None


def parse_parallel(text: str) -> list[int]:
    """Returns the numbers of "4,8,16"; raises Failure."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise Failure("--max-parallel takes numbers of sessions, as 4,8,16", BAD_INPUT)
    return numbers


async def learn() -> dict[str, Learned]:
    """Returns what the server's newest runs tell of each agent; nothing where no server answers."""
    try:
        async with output.connect(patience=0) as client:
            attempts = await _accepted(client)
    except (ServerUnreachable, HeddleError):
        return {}
    by_agent: defaultdict[str, list[pb.Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_agent[attempt.agent].append(attempt)
    return {agent: _mean(each) for agent, each in by_agent.items()}


async def _accepted(client: HeddleClient) -> list[pb.Attempt]:
    runs = (await client.list_runs(page_size=RUNS)).runs
    listed = await asyncio.gather(*(client.list_attempts(f"{run.name}/epics/-/tasks/-") for run in runs))
    return [each for found in listed for each in found if each.state == pb.ATTEMPT_STATE_ACCEPTED]


def _mean(attempts: Sequence[pb.Attempt]) -> Learned:
    seconds = [(each.end_time.ToNanoseconds() - each.start_time.ToNanoseconds()) / 1e9 for each in attempts]
    known = not any(each.usage.cost_incomplete for each in attempts)
    costs = [each.usage.cost_usd_micros for each in attempts]
    return Learned(sum(seconds) / len(seconds), sum(costs) / len(costs) if known else None)


def estimated(plan: pb.Plan, learned: Mapping[str, Learned]) -> pb.Plan:
    """Returns the plan with estimates where they can be learned."""
    known = pb.Plan()
    known.CopyFrom(plan)
    for epic in known.epics:
        for task in epic.tasks:
            agent = learned.get(resolved_agent(task, plan.defaults))
            if agent and not task.HasField("estimate"):
                task.estimate.FromNanoseconds(round(agent.seconds * 1e9))
    return known


def knows_lengths(plan: pb.Plan, learned: Mapping[str, Learned]) -> bool:
    """Says whether lengths are seconds, and not tasks."""
    return any(task.HasField("estimate") for epic in estimated(plan, learned).epics for task in epic.tasks)


def cost(plan: pb.Plan, learned: Mapping[str, Learned]) -> int | None:
    """Returns the micros that all tasks cost together; None where one is not known."""
    agents = [resolved_agent(task, plan.defaults) for epic in plan.epics for task in epic.tasks]
    costs = [learned[agent].cost if agent in learned else None for agent in agents]
    known = [each for each in costs if each is not None]
    return round(sum(known)) if len(known) == len(costs) else None


def simulate(plan: pb.Plan, learned: Mapping[str, Learned], parallel: Sequence[int]) -> list[dict[str, Any]]:
    """Returns what the scheduler's own policy makes of the plan, for each number of sessions at once."""
    # A program of its own: commands share no code with services.
    played = subprocess.run(
        [sys.executable, "-P", "-m", "scheduler_svc.policy.simulation", *map(str, parallel)],
        input=estimated(plan, learned).SerializeToString(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [
        {**json.loads(line), "cost_usd_micros": cost(plan, learned)} for line in played.stdout.splitlines()
    ]


def table(rows: Iterable[Mapping[str, Any]], *, in_seconds: bool) -> Table:
    """Returns the rows as people read them."""
    shown = Table("SESSIONS", "MAKESPAN", "BUSY", "COST", box=None, pad_edge=False)
    for row in rows:
        span = row["makespan"]
        micros = row["cost_usd_micros"]
        shown.add_row(
            str(row["max_parallel"]),
            words.span(span) if in_seconds else words.count(round(span), "task"),
            f"{row['busy']:.0%}",
            "unknown" if micros is None else f"${micros / 1_000_000:.2f}",
        )
    return shown
