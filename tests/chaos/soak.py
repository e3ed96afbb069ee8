"""Kills and freezes real services at random while real agents work, then checks the invariants.

It stops on its own, and affects no process that it did not start. The seed decides
what is killed, and how long after the previous kill; the exact moment depends on the machine.

The agents' service has a slow disk. With --postgres the database is a separate server, which is stopped in
immediate mode from time to time.

python -m tests.chaos.soak [--seed SEED] [--minutes MINUTES] [--postgres]
"""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.client import HeddleClient
from heddle.names import RunName
from tests.chaos import evidence, soak_runs
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.postgres import Postgres, at, running_postgres
from tests.support.proxy import Proxy
from tests.support.repositories import make_repository

# Runs at the same time.
RUNS: Final = 3
MAX_PARALLEL: Final = 2

# A soak does not end before that many services were killed.
LEAST_KILLS: Final = 6

# Seconds until everything must be idle after the last kill.
REST: Final = 180

# Seconds for which a client waits for a service to come back.
PATIENCE: Final = 90.0

_AGENT: Final = Path(__file__).with_name("soak_agent.py")


@dataclass
class Figures:
    """The result of a soak."""

    runs: int = 0
    cancelled: int = 0
    tasks: int = 0
    accepted: int = 0
    attempts: int = 0
    events: int = 0
    kills: int = 0
    freezes: int = 0
    cuts: int = 0
    crashes: int = 0
    violations: list[str] = field(default_factory=list)


class Soak:
    """One fleet in a folder, with its runs and the process that disturbs it."""

    def __init__(self, folder: Path, seed: int, seconds: float, server: Postgres | None = None) -> None:
        self._server = server
        self._seed = seed
        self._random = random.Random(seed)
        self._end = time.monotonic() + seconds
        self._home = folder / "home"
        self._repository = make_repository(folder / "repository")
        self._journal = folder / "journal"
        self._scratch = folder / "scratch"
        self._journal.mkdir()
        self._scratch.mkdir()
        self._folder = folder
        self._fleet = Fleet(
            self._home,
            {
                "TMPDIR": str(self._scratch),
                "HEDDLE_STOP_GRACE": "1",
                "HEDDLE_KEEP_WORKTREES": "0",
                "HEDDLE_SANDBOX_WRITABLE": str(self._journal),
            },
        )
        self._fleet._extra["PYTHONPATH"] = str(Path(__file__).parents[2])
        slow = [sys.executable, "-m", "tests.chaos.mutants", "slow_disk", "agent_svc"]
        self._fleet.commands["agent_svc"] = slow
        self._url = f"sqlite:///{self._home / 'heddle.db'}"
        if server:
            self._url = server.new_database("soak")
        self._ways: list[Proxy] = []
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._watched: dict[str, list[pb.Event]] = {}
        self._figures = Figures()

    async def run(self) -> Figures:
        """Returns when everything is idle and was checked."""
        async with AsyncExitStack() as stack:
            ends = (self._fleet.worktree, self._fleet.agent)
            self._ways = [await stack.enter_async_context(Proxy.to(end)) for end in ends]
            addresses = "+".join(way.address for way in self._ways)
            if self._server:
                # A network lies between the scheduler and its database.
                way = await stack.enter_async_context(Proxy.to(self._server.socket, delay=0.001))
                self._fleet._extra["HEDDLE_DATABASE_URL"] = at(self._url, way.address)
                self._ways.append(way)
            self._fleet._extra["HEDDLE_WORKERS"] = f"local={addresses}"
            await self._run()
        self._judge()
        return self._figures

    async def _run(self) -> None:
        figures = self._figures
        try:
            await self._fleet.start(*GRPC_SERVICES)
            async with self._fleet.client(patience=PATIENCE) as client:
                working = [asyncio.create_task(self._work(client, place)) for place in range(RUNS)]
                try:
                    await self._disturb()
                    async with asyncio.timeout(REST):
                        await asyncio.gather(*working)
                    await self._restart()
                except TimeoutError:
                    figures.violations.append(f"not at rest {REST} seconds after the last kill")
                finally:
                    for task in working:
                        task.cancel()
                    await asyncio.gather(*working, return_exceptions=True)
        finally:
            for starting in self._starting.values():
                starting.cancel()
            await asyncio.gather(*self._starting.values(), return_exceptions=True)
            self._fleet.stop()

    async def _disturb(self) -> None:
        """Kills and freezes services, one at a time, until the time is up."""
        # On a busy machine, few services may have died by then.
        while time.monotonic() < self._end or self._figures.kills < LEAST_KILLS:
            await asyncio.sleep(self._random.uniform(0.1, 1))
            service = self._random.choice(GRPC_SERVICES)
            # Others may die while one starts, but not so often that nothing ever works.
            if len(under_way := [each for each in self._starting.values() if not each.done()]) > 1:
                await asyncio.wait(under_way)
            if starting := self._starting.pop(service, None):
                await starting
            what = self._random.random()
            if what > 0.9:
                self._figures.cuts += 1
                # In the middle of what is sent next, if anything is.
                self._random.choice(self._ways).cut_after(self._random.randint(1, 20_000))
                continue
            if what > 0.85 and self._server:
                self._figures.crashes += 1
                self._server.crash()
                await asyncio.sleep(self._random.uniform(0, 2))
                self._server.restart()
                continue
            if what < 0.2:
                self._figures.freezes += 1
                process = self._fleet._processes[service]
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(self._random.uniform(0.1, 2))
                process.send_signal(signal.SIGCONT)
                continue
            self._figures.kills += 1
            self._fleet.kill(service)
            await asyncio.sleep(self._random.choice([0, 0, 0.5]))
            self._starting[service] = asyncio.create_task(self._start(service))
        await asyncio.gather(*self._starting.values())

    async def _start(self, service: str) -> None:
        """Starts a service as `heddle up` does: tries again if it cannot start yet."""
        for _ in range(10):
            try:
                await self._fleet.start(service)
            except AssertionError as error:
                problem = error
                # It may just be slow; two processes at the same time would be wrong.
                self._fleet.kill(service)
                await asyncio.sleep(1)  # the previous process's work, which prevents the start, will end
            else:
                return
        raise problem

    async def _restart(self) -> None:
        """Restarts the scheduler: the next leader removes what could not be removed before."""
        self._fleet.kill("scheduler_svc")
        await self._start("scheduler_svc")
        deadline = time.monotonic() + REST
        while left := evidence.files_left(self._home, self._repository, self._scratch):
            if time.monotonic() > deadline:
                self._figures.violations += left
                return
            await asyncio.sleep(0.5)  # git has no event to wait for

    async def _work(self, client: HeddleClient, place: int) -> None:
        """Makes runs, one after another, and watches each to its end."""
        chance = random.Random(f"{self._seed} {place}")
        while time.monotonic() < self._end:
            plan = self._plan(chance)
            request = pb.CreateRunRequest(plan=plan, project=str(self._repository), max_parallel=MAX_PARALLEL)
            run = (await client.create_run(request)).name
            events = self._watched[run] = []
            async with soak_runs.watched(client, run, events):
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.uniform(0, 3))  # a random moment
                    await self._cancel(client, run)

    async def _cancel(self, client: HeddleClient, run: str) -> None:
        if await soak_runs.cancel(client, run):
            self._figures.cancelled += 1
            self._figures.violations += evidence.agents_of(self._journal, RunName.parse(run))

    def _plan(self, chance: random.Random) -> pb.Plan:
        agent = f"command:{sys.executable} {_AGENT} {self._journal} {MAX_PARALLEL} {self._seed}"
        return soak_runs.soak_plan(chance, agent, most_epics=3, depends=0.3)

    def _judge(self) -> None:
        figures = self._figures
        records = evidence.Records(self._url)
        wrong = [*records.violations(self._repository)]
        for run, events in self._watched.items():
            wrong += records.watched(run, events)
        wrong += evidence.journal_says(self._journal)
        wrong += evidence.processes_below(self._folder)
        wrong += evidence.repository_is_sound(self._repository)
        figures.violations += wrong
        figures.runs = len(records.watch.audits)
        figures.events = records.watch.events
        figures.tasks = len(records.tasks)
        figures.attempts = sum(row.attempt_count for row in records.tasks)
        figures.accepted = sum(row.state == pb.TASK_STATE_ACCEPTED for row in records.tasks)


async def soak(seed: int, seconds: float, *, postgres: bool = False) -> Figures:
    """Runs a soak; if an invariant was violated, its folder with every log is kept and named."""
    # The names of sockets below it must be short.
    folder = Path(tempfile.mkdtemp(prefix="heddle-soak-"))
    if postgres:
        with running_postgres() as server:
            figures = await Soak(folder, seed, seconds, server).run()
    else:
        figures = await Soak(folder, seed, seconds).run()
    if figures.violations:
        figures.violations.append(f"logs and database are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Kills services at random and looks for broken promises.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    database = " POSTGRES=1" if options.postgres else ""
    print(f"make chaos SEED={options.seed} MINUTES={options.minutes:g}{database}", flush=True)
    figures = asyncio.run(soak(options.seed, options.minutes * 60, postgres=options.postgres))
    told = asdict(figures) | {"violations": len(figures.violations)}
    # This is the sentence in docs/reliability.md.
    for cells in (told, dict.fromkeys(told, "---"), {name: f"{value:,}" for name, value in told.items()}):
        print(f"| {' | '.join(cells if cells is told else map(str, cells.values()))} |")
    print("\n".join(figures.violations))
    sys.exit(bool(figures.violations))


if __name__ == "__main__":
    main()
