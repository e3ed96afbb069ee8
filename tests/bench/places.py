"""Measures how soon the first task of an epic has a place and an agent, on workers that exist and in pods.

Everything is real but the cluster: its API is a mock, and its nodes start local processes, so a pod starts as
fast as its services do. On a cluster, the node and the images come on top.
"""

import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.client import HeddleClient
from tests.bench.table import Table
from tests.support.places import events_of, places
from tests.support.pod_fleet import pod_fleet
from tests.support.repositories import make_repository

# Epics of a run, one after the other, so that they do not wait for each other's processes.
EPICS: Final = 5


async def run() -> Table:
    """Measures both; takes about a minute."""
    with tempfile.TemporaryDirectory() as folder:
        fleet, pods = Path(folder) / "fleet", Path(folder) / "pods"
        async with places(fleet, count=2) as static, static.scheduler.client(patience=60) as client:
            existing = await _measure(client, static.url)
        repository = make_repository(Path(folder) / "repository")
        async with pod_fleet(pods, repository) as made, made.fleet.client(patience=60) as client:
            in_pods = await _measure(client, made.url)
    base = statistics.median(place + agent for place, agent in existing)
    rows = [_row(what, found, base) for what, found in (("workers that exist", existing), ("pods", in_pods))]
    return Table(
        "From ready to at work",
        f"Median of {EPICS} epics, one at a time. Seconds from the moment when an epic could start to its place, and"
        " from there (clone, worktree, start of the session) to its agent. Ratio: of the sum, to workers that exist.",
        ("epics on", "ready to place", "place to agent", "ratio"),
        rows,
    )


def _row(what: str, found: Iterable[tuple[float, float]], base: float) -> tuple[str, str, str, str]:
    waits, starts = zip(*found, strict=True)
    both = statistics.median(map(sum, zip(waits, starts, strict=True)))
    return (
        what,
        f"{statistics.median(waits):.2f}",
        f"{statistics.median(starts):.2f}",
        f"{both / base:.1f} x",
    )


async def _measure(client: HeddleClient, url: str) -> list[tuple[float, float]]:
    """Returns for each epic of a run the seconds until it had a place, and from then until its agent started."""
    plan = pb.Plan(name="Places", defaults=pb.TaskDefaults(agent="command:echo done > done-$HEDDLE_EPIC.txt"))
    for number in range(EPICS):
        epic = plan.epics.add(key=f"e{number}", tasks=[pb.PlanTask(key="one", prompt="Go")])
        epic.depends_on.extend([f"e{number - 1}"] if number else [])
    name = (await client.create_run(pb.CreateRunRequest(plan=plan, project=url))).name
    told = await events_of(client, name)
    moments: dict[str, dict[str, float]] = {}
    for event in told:
        kind = event.WhichOneof("payload") or ""
        if event.epic and kind in {"epic_ready", "task_started", "session_started"}:
            moments.setdefault(event.epic, {})[kind] = event.time.ToNanoseconds() / 1e9
    return [
        (at["task_started"] - at["epic_ready"], at["session_started"] - at["task_started"])
        for at in moments.values()
    ]
