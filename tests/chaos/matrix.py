"""Kills a service at each failpoint in turn while real agents work, and then checks the invariants.

A few fleets run in parallel; each has one service that dies at its points, one after
another. For each point there is a run that reaches it. The restarted service, armed with the
next point, recovers what the previous one left, so many restarts are interrupted too.

python -m tests.chaos.matrix [--postgres] [POINT …]

With --postgres, each fleet has a database of a PostgreSQL server, behind a proxy that adds delay.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heddle import failpoints
from heddle.client import HeddleClient
from tests.chaos import evidence
from tests.chaos.matrix_runs import MatrixRuns, until
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.postgres import Postgres, at, running_postgres
from tests.support.proxy import Proxy
from tests.support.repositories import make_repository
from tests.support.warm import Started

# Seconds until everything must be idle.
REST: Final = 240

SLOTS: Final = 16

# Seconds that the proxy adds to a round trip to PostgreSQL.
DELAY: Final = 0.001

# Fleets at a time. More would not be faster on two cores, and would slow down other tests.
AT_ONCE: Final = 3

# Points of the removal of logs, after which nothing is left to check. The matrix's logs
# are too small to be released.
_UNJUDGED: Final = frozenset({"DeleteSessions", "mark_expired", "said"})

# Points that need a missing repository, which all runs of a fleet share, or a remote, of
# which there is none: tests/integration/scheduler/test_environment_faults.py replaces a leader that waits,
# test_places.py there and in tests/integration/worktree kills the services of places, and test_old_refs.py there a
# leader that removes old refs. A pool is in
# test_pods.py there only, and a second worker that is granted a repository in test_served_places.py there.
# Schedules start runs once a minute at most: test_schedules.py there repeats such a start. A person's resolution
# is no step of a run: its two calls change no branch, and a repeated one makes another commit that nothing refers to.
_UNREACHED: Final = frozenset(
    {
        *("record_fault", "record_recovery", "clear_fault", "PushBranches", "advance_schedule"),
        *("lose_place", "stay", "settle", "claim", "skip_place", "keep_artifact"),
        *("ReadConflict", "MakeResolution", "GrantRepository"),
        *("leave_claims", "RemoveRemoteRefs", "remote_refs_removed"),
    }
)

# PostgreSQL drops the audit log by whole days, in a transaction of its own kind.
_ONLY_SQLITE: Final = "prune_audit."

# Epics have ports, setup and teardown, so that these are interrupted as well.
_PLACE: Final = "setup: echo $HEDDLE_PORT\nports: 2\nteardown: echo $HEDDLE_PORT\n"


@dataclass(frozen=True)
class Crossing:
    """One service and the points at which it is to die, in order."""

    service: str
    points: Sequence[str]

    def __str__(self) -> str:
        return f"{self.service}-{self.points[0]}"


def crossings(points: Iterable[str]) -> list[Crossing]:
    """Returns the fleets to run, all of about the same length."""
    chosen = sorted(point for point in points if point.partition(".")[0] not in _UNJUDGED | _UNREACHED)
    kinds = {
        "scheduler_svc": [each for each in chosen if each.endswith(("_commit", "_call"))],
        "agent_svc": [each for each in chosen if each.endswith("_sync")],
        "worktree_svc": [
            each
            for each in chosen
            if each.startswith("fence.") or not each.endswith(("_commit", "_call", "_sync"))
        ],
    }
    lanes = {"scheduler_svc": 3, "agent_svc": 2, "worktree_svc": 2}
    # A fence is only written for a new leader: at the beginning.
    order = {
        service: sorted(each, key=lambda point: not point.startswith("fence."))
        for service, each in kinds.items()
    }
    found = [
        Crossing(service, order[service][lane::count])
        for service, count in lanes.items()
        for lane in range(count)
    ]
    return [each for each in found if each.points]


class Lane:
    """One fleet whose `service` dies at each of its points."""

    def __init__(self, folder: Path, crossing: Crossing, database: str = "", behind: str = "") -> None:
        """`database` is the URL of an empty database, and `behind` the one for the service; absent: SQLite."""
        self._folder = folder
        self._service, self._points = crossing.service, crossing.points
        self._repository = make_repository(
            folder / "repository", {"README.md": "# Sample\n", ".heddle.yaml": _PLACE}
        )
        self._home = folder / "home"
        (folder / "scratch").mkdir()
        settings = {
            "TMPDIR": str(folder / "scratch"),
            "HEDDLE_STOP_GRACE": "1",
            "HEDDLE_SLOTS": str(SLOTS),
            "HEDDLE_PARK_AFTER": "0",
            "HEDDLE_BASE_LOOK_EVERY": "1",
            # Nine seconds, so that some worktrees still exist after their run.
            "HEDDLE_KEEP_WORKTREES": "0.0001",
            # The journal and the screenshot.
            "HEDDLE_SANDBOX_WRITABLE": str(folder),
        }
        if behind:
            settings["HEDDLE_DATABASE_URL"] = behind
        self._database = database or f"sqlite:///{self._home / 'heddle.db'}"
        self._fleet = Fleet(self._home, settings)
        self._runs = MatrixRuns(folder, self._repository, self._fleet)
        self._usual_runs: list[asyncio.Task[None]] = []

    async def run(self) -> list[str]:
        """Returns the violations."""
        try:
            await self._fleet.start(*(each for each in GRPC_SERVICES if each != self._service))
            async with self._fleet.client(patience=REST) as client:
                working = [task for point in self._points for task in await self._cross(client, point)]
                await self._fleet.start(self._service)
                async with asyncio.timeout(REST):
                    await asyncio.gather(*working)
                await self._settle(client)
        except TimeoutError:
            self._runs.wrong.append(f"{self._service}: not at rest after {REST} s")
        finally:
            self._fleet.stop()
        self._judge()
        return self._runs.wrong

    async def _cross(self, client: HeddleClient, point: str) -> list[asyncio.Task[None]]:
        """Returns once the service has died at `point`, with the runs that were made for it and still continue."""
        process = self._spawn(point)
        scenario = self._runs.scenario(point)
        usual = scenario == self._runs.usual
        if usual:
            # A run that is active already may reach it.
            await until(lambda: process.poll() is not None or not self._under_way())
        working: list[asyncio.Task[None]] = []
        if process.poll() is None:
            working.append(asyncio.create_task(scenario(client, point)))
            if usual:
                self._usual_runs += working
        if point.startswith("GetSession."):
            # It is called for sessions that exist when a new leader starts.
            await until(lambda: process.poll() is not None or self._runs.has_seen(point, "session_started"))
            if process.poll() is None:
                self._fleet.kill(self._service)
                process = self._spawn(point)
        await until(lambda: process.poll() is not None or all(each.done() for each in working))
        code = process.poll()
        if code != -signal.SIGKILL:
            why = f"was never reached: {'the service runs' if code is None else f'it ended with code {code}'}"
            self._runs.wrong.append(f"{point} {why}")
            self._fleet.kill(self._service)
        if self._service == "agent_svc" or point.startswith("append."):
            # A task must not lose so many sessions that it is given up, and no run those of another one.
            await self._fleet.start(self._service)
            await asyncio.gather(*working)
            self._fleet.kill(self._service)
        return working

    def _spawn(self, point: str) -> Started:
        return self._fleet.spawn(self._service, {"HEDDLE_FAILPOINT": point})

    def _under_way(self) -> bool:
        return any(not run.done() for run in self._usual_runs)

    async def _settle(self, client: HeddleClient) -> None:
        """Makes a new leader remove what could not be removed before."""
        self._fleet.kill("scheduler_svc")
        await self._fleet.start("scheduler_svc")
        async with asyncio.timeout(REST):
            await self._runs.collect(client)
            while evidence.files_left(self._home, self._repository, self._folder / "scratch"):  # noqa: ASYNC110 (git has no event to wait for)
                await asyncio.sleep(0.5)

    def _judge(self) -> None:
        records = evidence.Records(self._database)
        self._runs.wrong += records.violations(self._repository)
        for name, events in self._runs.watched.items():
            self._runs.wrong += records.watched(name.partition(" ")[2], events)
        self._runs.wrong += evidence.journal_says(self._folder / "journal")
        self._runs.wrong += evidence.processes_below(self._folder)
        self._runs.wrong += evidence.repository_is_sound(self._repository)
        self._runs.wrong += evidence.files_left(self._home, self._repository, self._folder / "scratch")


async def cross(lanes: Iterable[Crossing], server: Postgres | None = None) -> list[str]:
    """Kills the services at the points of `lanes`; returns the violations. `server` is for the databases; None: SQLite.

    If there are any, the folder with every log is kept and named.
    """
    # The names of sockets below it must be short.
    folder = Path(tempfile.mkdtemp(prefix="heddle-matrix-"))
    free = asyncio.Semaphore(AT_ONCE)

    async def crossed(place: Path, crossing: Crossing) -> list[str]:
        async with free:
            place.mkdir()
            # Not earlier: the ports that it finds must still be free when its services start.
            if server is None:
                return await Lane(place, crossing).run()
            database = server.new_database(f"lane_{place.name}")
            async with Proxy.to(server.socket, DELAY) as way:
                return await Lane(place, crossing, database, at(database, way.address)).run()

    async with asyncio.TaskGroup() as group:
        crossing = [
            group.create_task(crossed(folder / str(number), each)) for number, each in enumerate(lanes)
        ]
    wrong = [each for lane in crossing for each in lane.result()]
    if wrong:
        return [*wrong, f"logs and databases are kept in {folder}"]
    shutil.rmtree(folder)
    return []


def main(arguments: list[str]) -> int:
    """Prints the violations; returns the exit code of the command line above."""
    postgres = "--postgres" in arguments
    named = [each for each in arguments if each != "--postgres"]
    points = named or [each for each in failpoints.NAMES if not (postgres and each.startswith(_ONLY_SQLITE))]
    with running_postgres() if postgres else nullcontext() as server:
        broken = asyncio.run(cross(crossings(points), server))
    print("\n".join(broken))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
