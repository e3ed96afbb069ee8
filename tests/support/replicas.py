"""Three schedulers on one PostgreSQL, as processes, and failures of the one that leads."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.scheduler import eventually

REPLICAS = ("one", "two", "three")
# The lock holder according to PostgreSQL: its backend process and the name of its connection.
HOLDER = """
    SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objid = 1212501061
"""

# Records for every write of the loop which replica made it, and in which term.
WITNESS = """
    CREATE TABLE writers (epoch bigint, replica text);
    CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO writers SELECT epoch, current_setting('application_name') FROM leadership;
        RETURN NULL;
    END $$;
    CREATE TRIGGER witness AFTER INSERT OR UPDATE ON attempts FOR EACH STATEMENT EXECUTE FUNCTION witness();
"""


class Replicas:
    """Three schedulers over one worker."""

    def __init__(self, folder: Path, url: str) -> None:
        self._url = url.replace("+psycopg", "")
        # Each scheduler has its own folder; the first also has the worker.
        self.fleets = {name: Fleet(folder / name) for name in REPLICAS}
        worker = self.fleets["one"]
        for name, fleet in self.fleets.items():
            separator = "&" if "?" in url else "?"
            fleet._extra |= {
                "HEDDLE_DATABASE_URL": f"{url}{separator}application_name={name}",
                "HEDDLE_WORKERS": f"local={worker.worktree}+{worker.agent}",
                "HEDDLE_SANDBOX_WRITABLE": str(folder),
            }

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def holders(self) -> list[str]:
        """Returns the names of the lock holders; empty while the database is unavailable."""
        try:
            return [str(name) for _, name in self.query(HOLDER)]
        except psycopg.OperationalError:
            return []

    async def leader(self) -> str:
        await eventually(lambda: len(self.holders()) == 1)
        (name,) = self.holders()
        return name

    async def fails_over(self, blow: Callable[[str], None]) -> str:
        """Makes the leader fail; returns its name once a new leader has the lock, and prints the duration."""
        leader = await self.leader()
        term = self._epoch()
        begun = time.monotonic()
        blow(leader)
        await eventually(lambda: self._epoch() > term and bool(self.holders()))
        print(
            f"{blow.__name__} of {leader}: {self.holders()[0]} leads after {time.monotonic() - begun:.1f} s"
        )
        return leader

    def _epoch(self) -> int:
        ((epoch,),) = self.query("SELECT epoch FROM leadership")
        return int(str(epoch))

    def writers(self) -> dict[int, int]:
        """Returns for each term how many replicas wrote in it since WITNESS was created."""
        rows = self.query("SELECT epoch, count(DISTINCT replica) FROM writers GROUP BY epoch")
        return {int(str(epoch)): int(str(count)) for epoch, count in rows}

    def has_written_late(self, name: str) -> bool:
        """Returns whether a replica has written since the first term that WITNESS saw."""
        late = "SELECT replica FROM writers WHERE epoch > (SELECT min(epoch) FROM writers)"
        return (name,) in self.query(late)

    def kill(self, name: str) -> None:
        self.fleets[name].kill("scheduler_svc")

    def freeze(self, name: str) -> None:
        self.fleets[name]._processes["scheduler_svc"].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.fleets[name]._processes["scheduler_svc"].send_signal(signal.SIGCONT)

    def cut(self, _name: str) -> None:
        """Ends the connection that holds the lock."""
        ((pid, _),) = self.query(HOLDER)
        self.query(f"SELECT pg_terminate_backend({pid})")


@asynccontextmanager
async def running_replicas(replicas: Replicas) -> AsyncIterator[Replicas]:
    """Runs all schedulers and the worker."""
    first, *others = replicas.fleets.values()
    try:
        await first.start(*GRPC_SERVICES)
        await asyncio.gather(*(other.start("scheduler_svc") for other in others))
        yield replicas
    finally:
        for fleet in replicas.fleets.values():
            fleet.stop()
