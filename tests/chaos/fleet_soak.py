"""Kills, freezes, cuts off and wipes the services of a fleet at random, then checks the invariants.

Three workers that share nothing but a project's remote, three schedulers, PostgreSQL, and git's own http-backend behind
https. Workers lose their disks, the scheduler, the remote, or both. It stops on its own, and ends no process that
it did not start. The seed decides what happens to whom, and at which intervals; the exact moment depends on the machine.

python -m tests.chaos.fleet_soak [--seed SEED] [--minutes MINUTES]
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from tests.chaos import claims_evidence, evidence, soak_runs
from tests.chaos.fleet_faults import Worker, cut, end_all_below, freeze, start_again
from tests.support import certificates, smart_http
from tests.support.fleet import Fleet
from tests.support.postgres import Postgres, running_postgres
from tests.support.proxy import Proxy
from tests.support.replicas import WITNESS, Replicas
from tests.support.repositories import fast_import, git

WORKERS: Final = ("w1", "w2", "w3")
SERVICES: Final = ("worktree_svc", "agent_svc")

# Runs at the same time, the sessions of each, and of each worker.
RUNS: Final = 4
MAX_PARALLEL: Final = 3
SLOTS: Final = 4

# Seconds. A busy machine may delay heartbeats.
LEASE: Final = 8

# Seconds until everything must have ended after the last fault.
REST: Final = 300

# Seconds for which a client waits for a scheduler to come back.
PATIENCE: Final = 120.0

# What happens how often.
_FAULTS: Final = {"kill": 66, "wipe": 16, "freeze": 7, "cut": 9, "break": 3, "crash": 2}

_AGENT: Final = Path(__file__).with_name("soak_agent.py")


@dataclass
class Figures:
    """The result of a soak."""

    runs: int = 0
    cancelled: int = 0
    tasks: int = 0
    accepted: int = 0
    attempts: int = 0
    # Attempts whose place was lost, and epics that continued at another one.
    lost: int = 0
    moved: int = 0
    events: int = 0
    # Services that got SIGKILL, not counting those of wiped workers.
    kills: int = 0
    wiped_disks: int = 0
    freezes: int = 0
    partitions: int = 0
    broken_connections: int = 0
    database_crashes: int = 0
    violations: list[str] = field(default_factory=list)


class FleetSoak:
    """One fleet in a folder, with its runs and the faults that befall it."""

    def __init__(self, folder: Path, seed: int, seconds: float, server: Postgres) -> None:
        self._folder = folder
        self._seed = seed
        self._random = random.Random(seed)
        self._seconds = seconds
        self._end = 0.0
        self._server = server
        self._url = server.new_database("fleet_soak")
        self._remote = folder / "remote" / "app.git"
        self._remote.mkdir(parents=True)
        git(self._remote, "init", "--quiet", "--bare", "--initial-branch=trunk")
        fast_import(self._remote, "trunk", {"README.md": "# Sample\n"})
        self._journal = folder / "journal"
        self._journal.mkdir()
        self._replicas = Replicas(folder, self._url)
        self._schedulers = self._replicas.fleets
        self._workers = {name: Worker(self._new_worker(name)) for name in WORKERS}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._watched: dict[str, list[pb.Event]] = {}
        self._project = ""
        self.figures = Figures()

    def _new_worker(self, name: str) -> Fleet:
        return Fleet(
            self._folder / name,
            {
                "HEDDLE_LEASE": str(LEASE),
                "HEDDLE_STOP_GRACE": "1",
                "HEDDLE_SLOTS": str(SLOTS),
                "HEDDLE_KEEP_WORKTREES": "0",
                "HEDDLE_SANDBOX_WRITABLE": str(self._journal),
                "GIT_CONFIG_GLOBAL": str(self._folder / f"{name}.gitconfig"),
            },
        )

    async def run(self) -> Figures:
        """Returns when everything has ended and was checked."""
        async with self._networks():
            try:
                await asyncio.gather(*(each.fleet.start(*SERVICES) for each in self._workers.values()))
                await asyncio.gather(*(each.start("scheduler_svc") for each in self._schedulers.values()))
                self._replicas.query(WITNESS)
                await self._work_and_fail()
            finally:
                for task in (*self._starting.values(), *self._under_fault()):
                    task.cancel()
                await asyncio.gather(*self._starting.values(), *self._under_fault(), return_exceptions=True)
                for fleet in (*self._schedulers.values(), *(each.fleet for each in self._workers.values())):
                    fleet.stop()
                for worker in self._workers.values():
                    end_all_below(worker.fleet.home)
        self._judge()
        return self.figures

    @asynccontextmanager
    async def _networks(self) -> AsyncIterator[None]:
        """Serves the remote, and puts a proxy on each way from a worker to others."""
        async with AsyncExitStack() as stack:
            tls = certificates.make(self._folder / "certificates")
            served = stack.enter_context(smart_http.serving(self._remote.parent, tls))
            self._project = f"{served}/app.git"
            said = f"echo username={smart_http.USER}; echo password={smart_http.PASSWORD}"
            for name, worker in self._workers.items():
                worker.to_remote = await stack.enter_async_context(Proxy.to(served.removeprefix("https://")))
                # Settings of the machine's own user would take precedence over the file.
                worker.fleet._extra["GIT_SSL_CAINFO"] = str(tls.authority)
                (self._folder / f"{name}.gitconfig").write_text(
                    f"[user]\n\tname = {name}\n\temail = {name}@example.com\n"
                    f'[credential]\n\thelper = "!f() {{ {said}; }}; f"\n'
                    f'[url "https://{worker.to_remote.address}/"]\n\tinsteadOf = {served}/\n'
                )
                ends = (worker.fleet.worktree, worker.fleet.agent)
                worker.to_scheduler = [await stack.enter_async_context(Proxy.to(end)) for end in ends]
            fleet = ",".join(
                f"{name}={'+'.join(way.address for way in worker.to_scheduler)}"
                for name, worker in self._workers.items()
            )
            for scheduler in self._schedulers.values():
                scheduler._extra |= {
                    "HEDDLE_WORKERS": fleet,
                    "HEDDLE_LEASE": str(LEASE),
                    "HEDDLE_STOP_GRACE": "1",
                    "HEDDLE_KEEP_WORKTREES": "0",
                }
            yield

    async def _work_and_fail(self) -> None:
        self._end = time.monotonic() + self._seconds
        async with AsyncExitStack() as stack:
            fleets = list(self._schedulers.values())
            clients = [
                await stack.enter_async_context(fleets[place % len(fleets)].client(patience=PATIENCE))
                for place in range(RUNS)
            ]
            working = [asyncio.create_task(self._work(client, place)) for place, client in enumerate(clients)]
            try:
                await self._fail()
                async with asyncio.timeout(REST):
                    await asyncio.gather(*working)
            except TimeoutError:
                self.figures.violations.append(f"not at rest {REST} seconds after the last fault")
            finally:
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)

    # Faults.

    async def _fail(self) -> None:
        """Lets one fault follow another until the time is up; returns once all are over."""
        while time.monotonic() < self._end:
            await asyncio.sleep(self._random.uniform(0.1, 1.8))
            # Others may fail while one starts, but not so many that nothing ever works.
            while len(under_way := [each for each in self._starting.values() if not each.done()]) > 2:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            kind = self._random.choices(list(_FAULTS), list(_FAULTS.values()))[0]
            name = self._random.choice(WORKERS)
            match kind:
                case "kill":
                    await self._kill(self._random.choice((*WORKERS, *self._schedulers)))
                case "wipe":
                    await self._wipe(name)
                case "freeze" | "cut":
                    self._befall(name, kind)
                case "break":
                    self.figures.broken_connections += 1
                    worker = self._workers[name]
                    way = self._random.choice([*worker.to_scheduler, *filter(None, [worker.to_remote])])
                    # In the middle of what is sent next, if anything is.
                    way.cut_after(self._random.randint(1, 20_000))
                case "crash":
                    self.figures.database_crashes += 1
                    self._server.crash()
                    await asyncio.sleep(self._random.uniform(0, 2))
                    self._server.restart()
        await asyncio.gather(*self._starting.values(), *self._under_fault())

    def _under_fault(self) -> list[asyncio.Task[None]]:
        return [each.busy for each in self._workers.values() if each.busy]

    async def _kill(self, name: str) -> None:
        fleet, service = self._schedulers.get(name), "scheduler_svc"
        if fleet is None:
            fleet, service = self._workers[name].fleet, self._random.choice(SERVICES)
        key = f"{name} {service}"
        if before := self._starting.pop(key, None):
            await before
        self.figures.kills += 1
        fleet.kill(service)
        self._starting[key] = asyncio.create_task(start_again(fleet, service))

    async def _wipe(self, name: str) -> None:
        """Ends all that runs on a worker, and starts it without its disk."""
        worker = self._workers[name]
        for service in SERVICES:
            if before := self._starting.pop(f"{name} {service}", None):
                await before
        if worker.busy:
            await worker.busy
        self.figures.wiped_disks += 1
        for service in SERVICES:
            worker.fleet.kill(service)
        home = worker.fleet.home
        end_all_below(home)
        log = self._folder / f"{name}.logs"
        log.mkdir(exist_ok=True)
        for service in SERVICES:
            shutil.copy(home / f"{service}.log", log / f"{service}.{self.figures.wiped_disks}.log")
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
        home.mkdir(exist_ok=True)
        for service in SERVICES:
            self._starting[f"{name} {service}"] = asyncio.create_task(start_again(worker.fleet, service))

    def _befall(self, name: str, kind: str) -> None:
        """Freezes a worker, or cuts it off, for a shorter or longer time than its lease; unless it still is."""
        worker = self._workers[name]
        if worker.busy and not worker.busy.done():
            return
        seconds = self._random.choice([0.3, 1, LEASE / 2, 3 * LEASE])
        if kind == "freeze":
            self.figures.freezes += 1
            worker.busy = asyncio.create_task(freeze(worker, seconds))
        else:
            self.figures.partitions += 1
            remote = [way for way in [worker.to_remote] if way]
            ways = self._random.choice([worker.to_scheduler, remote, [*worker.to_scheduler, *remote]])
            worker.busy = asyncio.create_task(cut(ways, seconds))

    # Runs.

    async def _work(self, client: HeddleClient, place: int) -> None:
        """Makes runs, one after another, and watches each to its end."""
        chance = random.Random(f"{self._seed} {place}")
        while time.monotonic() < self._end:
            request = pb.CreateRunRequest(
                plan=self._plan(chance), project=self._project, max_parallel=MAX_PARALLEL
            )
            try:
                run = (await client.create_run(request)).name
            except HeddleError as error:
                # The project is read where the run will be, which may be cut off from it.
                if error.reason not in _AWAY:
                    raise
                await asyncio.sleep(1)
                continue
            events = self._watched[run] = []
            async with soak_runs.watched(client, run, events):
                if chance.random() < 0.15:
                    await asyncio.sleep(chance.uniform(0, 20))  # a random moment
                    self.figures.cancelled += await soak_runs.cancel(client, run)

    def _plan(self, chance: random.Random) -> pb.Plan:
        agent = f"command:{sys.executable} {_AGENT} {self._journal} {MAX_PARALLEL} {self._seed}"
        return soak_runs.soak_plan(chance, agent, most_epics=4, depends=0.2)

    # The end.

    def _judge(self) -> None:
        figures = self.figures
        records = evidence.Records(self._url)
        wrong = records.violations(self._remote, remote=True)
        for run, events in self._watched.items():
            wrong += records.watched(run, events)
        wrong += claims_evidence.violations(self._remote, records)
        wrong += evidence.processes_below(self._folder)
        wrong += evidence.repository_is_sound(self._remote)
        wrong += [f"{count} replicas wrote in term {term}" for term, count in self._writers() if count > 1]
        figures.violations += wrong
        figures.runs = len(records.watch.audits)
        figures.events = records.watch.events
        figures.tasks = len(records.tasks)
        figures.attempts = sum(row.attempt_count for row in records.tasks)
        figures.accepted = sum(row.state == pb.TASK_STATE_ACCEPTED for row in records.tasks)
        figures.lost = records.count_attempts(pb.ATTEMPT_STATE_LOST)
        figures.moved = sum(
            event.HasField("epic_moved") for events in self._watched.values() for event in events
        )

    def _writers(self) -> Iterator[tuple[int, int]]:
        yield from self._replicas.writers().items()


# Errors of a new run while its worker cannot reach its project, or no worker is there.
_AWAY: Final = frozenset(
    {
        pb.ERROR_REASON_PROJECT_UNAVAILABLE,
        pb.ERROR_REASON_NO_WORKER,
        pb.ERROR_REASON_NOT_A_REPOSITORY,
    }
)


async def soak(seed: int, seconds: float) -> Figures:
    """Runs a soak; if an invariant was violated, its folder with every log is kept and named."""
    # The names of sockets below it must be short.
    folder = Path(tempfile.mkdtemp(prefix="heddle-wide-"))
    with running_postgres() as server:
        figures = await FleetSoak(folder, seed, seconds, server).run()
    if figures.violations:
        figures.violations.append(f"logs and repositories are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Has a fleet fail at random and looks for broken promises.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=2)
    options = parser.parse_args()
    print(f"make fleet-chaos SEED={options.seed} MINUTES={options.minutes:g}", flush=True)
    figures = asyncio.run(soak(options.seed, options.minutes * 60))
    told = asdict(figures) | {"violations": len(figures.violations)}
    # These are the lines of the table in docs/reliability.md.
    heads = [name.replace("_", " ") for name in told]
    for cells in (heads, ["---"] * len(told), [f"{value:,}" for value in told.values()]):
        print(f"| {' | '.join(cells)} |")
    print("\n".join(figures.violations))
    sys.exit(bool(figures.violations))


if __name__ == "__main__":
    main()
