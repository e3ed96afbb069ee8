"""A whole trivial task with real git and a real process, and a shell loop that does the same work.

The task's agent is a shell command that writes one file. Heddle creates the worktree, runs the command in a session,
checks what it changed, commits, merges the epic and removes the worktree; the loop runs `git worktree add`, the command,
`git add` and `git commit`, as many at a time as Heddle has slots. Every task has a worktree of its own on both sides.
Heddle syncs what it writes to the disk, runs the command in a sandbox if there is one, and removes all of its processes.
The services are processes of their own; the processor time of each includes that of its git and agent processes.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from heddle import pb
from heddle.client import HeddleClient
from tests.bench.table import Table, milliseconds
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.repositories import GIT_ENVIRONMENT, make_repository

TASKS: Final = int(os.environ.get("HEDDLE_BENCH_TASKS", "64"))
SLOTS: Final = 8
# Rounds of each, by turns.
ROUNDS: Final = 5

# What the agent and the loop run. Each task writes another file, so that all can be merged.
_COMMAND: Final = "echo done > result-$HEDDLE_EPIC.txt"

_LOOP: Final = f"""
seq {TASKS} | xargs -P {SLOTS} -I N sh -c '
flock "$0" git -C "$0/project" worktree add --quiet -b "loop/N" "$0/N" main && cd "$0/N" &&
HEDDLE_EPIC=N && sh -c "{_COMMAND}" && git add --all && git commit --quiet --message="Task N"' "$0"
"""

FILES: Final = {f"folder{number % 5}/file{number}.txt": f"{number}\n" * 40 for number in range(50)}


class Figures(NamedTuple):
    """One round, in seconds: from its start until all tasks are committed, and the processor time by process."""

    wall: float
    processor: dict[str, float]


async def run() -> Table:
    """Measures both by turns; takes about a minute."""
    with tempfile.TemporaryDirectory(prefix="heddle-") as folder:
        top = Path(folder)
        fleet = Fleet(top / "home", {**GIT_ENVIRONMENT, "HEDDLE_SLOTS": str(SLOTS)})
        fleet.commands = {service: [sys.executable, "-m", service] for service in GRPC_SERVICES}
        try:
            await fleet.start(*GRPC_SERVICES)
            async with fleet.client() as client:
                await _heddle(client, fleet, top / "warm")  # warms up connections and caches
                rounds = [
                    (
                        await asyncio.to_thread(_loop, top / f"loop{number}"),
                        await _heddle(client, fleet, top / f"heddle{number}"),
                    )
                    for number in range(ROUNDS)
                ]
        finally:
            fleet.stop()
    return Table(
        "A whole task",
        f"{TASKS} tasks that write one file, {SLOTS} at a time, each in a worktree of its own with {len(FILES)} files; the median"
        f" of {ROUNDS} rounds, by turns, and of the rounds' ratios. The loop runs git worktree add, the command, git add and git"
        " commit with xargs. Processor time includes that of all child processes.",
        ["figure, a task", "Heddle", "shell loop", "ratio"],
        _rows(rounds),
    )


def _rows(rounds: list[tuple[Figures, Figures]]) -> list[list[str]]:
    def row(name: str, pairs: list[tuple[float, float]]) -> list[str]:
        theirs, ours = (statistics.median(each) / TASKS for each in zip(*pairs, strict=True))
        ratio = statistics.median(our / their for their, our in pairs)
        return [name, milliseconds(ours), milliseconds(theirs), f"{ratio:.1f} x"]

    services = [
        [
            f"processor time of {service}, ms",
            milliseconds(statistics.median(ours.processor[service] for _, ours in rounds) / TASKS),
            "",
            "",
        ]
        for service in GRPC_SERVICES
    ]
    return [
        row("wall time, ms", [(theirs.wall, ours.wall) for theirs, ours in rounds]),
        row(
            "processor time, ms",
            [(sum(theirs.processor.values()), sum(ours.processor.values())) for theirs, ours in rounds],
        ),
        *services,
    ]


def _loop(folder: Path) -> Figures:
    make_repository(folder / "project", FILES)
    environment = {**os.environ, **GIT_ENVIRONMENT}
    used, began = _children(), time.perf_counter()
    subprocess.run(["sh", "-c", _LOOP, str(folder)], check=True, env=environment, stdout=subprocess.DEVNULL)
    return Figures(time.perf_counter() - began, {"loop": _children() - used})


async def _heddle(client: HeddleClient, fleet: Fleet, folder: Path) -> Figures:
    """Runs a plan; its wall time ends with the last accepted task, and its processor time with the run's end."""
    project = make_repository(folder, FILES)
    epics = [
        pb.PlanEpic(key=f"epic-{number}", tasks=[pb.PlanTask(key="task", prompt="Write a file.")])
        for number in range(TASKS)
    ]
    plan = pb.Plan(name="bench", defaults=pb.TaskDefaults(agent=f"command:{_COMMAND}"), epics=epics)
    used, began = _services(fleet), time.time()
    made = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(project), max_parallel=SLOTS))
    events = [event async for answer in client.watch_run(made.name) for event in answer.events]
    accepted = [event.time.ToNanoseconds() / 1e9 for event in events if event.HasField("task_accepted")]
    if len(accepted) != TASKS:
        raise RuntimeError(f"{len(accepted)} of {TASKS} tasks were accepted")
    await asyncio.sleep(1)  # until supervisors and git processes have ended and are counted
    after = _services(fleet)
    return Figures(max(accepted) - began, {service: after[service] - used[service] for service in after})


def _services(fleet: Fleet) -> dict[str, float]:
    found = {service: psutil.Process(fleet.process_id(service)).cpu_times() for service in GRPC_SERVICES}
    return {
        service: times.user + times.system + times.children_user + times.children_system
        for service, times in found.items()
    }


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
