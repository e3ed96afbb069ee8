"""`heddle plan simulate`: duration and cost of a plan by number of parallel sessions."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from heddle import pb
from heddle.cli.console import output, words
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure
from heddle.client import ServerUnreachable, agent_averages
from heddle.client.agent_averages import Learned
from heddle.errors import HeddleError
from heddle.plan.rules import resolved_agent


def parse_parallel(text: str) -> list[int]:
    """Returns the numbers of "4,8,16"; raises Failure."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise Failure("--max-parallel takes numbers of at least 1, such as 4,8,16", BAD_INPUT)
    return numbers


async def learn() -> dict[str, Learned]:
    """Returns the averages of each agent in the newest runs; empty if no server answers."""
    try:
        async with output.connect(patience=0) as client:
            return await agent_averages.learn(client)
    except (ServerUnreachable, HeddleError):
        return {}


def estimated(plan: pb.Plan, learned: Mapping[str, Learned]) -> pb.Plan:
    """Returns the plan with learned estimates for tasks that have none."""
    known = pb.Plan()
    known.CopyFrom(plan)
    for epic in known.epics:
        for task in epic.tasks:
            agent = learned.get(resolved_agent(task, plan.defaults))
            if agent and not task.HasField("estimate"):
                task.estimate.FromNanoseconds(round(agent.seconds * 1e9))
    return known


def knows_lengths(plan: pb.Plan, learned: Mapping[str, Learned]) -> bool:
    """Returns whether durations are in seconds; otherwise they are in tasks."""
    return any(task.HasField("estimate") for epic in estimated(plan, learned).epics for task in epic.tasks)


def cost(plan: pb.Plan, learned: Mapping[str, Learned]) -> int | None:
    """Returns the total cost of all tasks in micros; None if one is unknown."""
    agents = [resolved_agent(task, plan.defaults) for epic in plan.epics for task in epic.tasks]
    costs = [learned[agent].cost if agent in learned else None for agent in agents]
    known = [each for each in costs if each is not None]
    return round(sum(known)) if len(known) == len(costs) else None


def simulate(plan: pb.Plan, learned: Mapping[str, Learned], parallel: Sequence[int]) -> list[dict[str, Any]]:
    """Simulates the plan with the scheduler's policy, once for each number of parallel sessions."""
    # A separate process: commands import no code of services.
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
    """Returns the rows as a table."""
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
