"""The database access of a leader: reads, and writes under its epoch."""

from functools import partial
from typing import TypeVar

from heddle import pb
from heddle.errors import HeddleError
from heddle.failpoints import failpoint
from heddle.timing.backoff import Backoff
from heddle.timing.clock import Clock
from scheduler_svc.leader.context.faults import Faults
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.engine import is_sqlite
from scheduler_svc.store.db.leadership import check_epoch
from scheduler_svc.store.db.times import micros
from scheduler_svc.store.db.writer import Work
from scheduler_svc.store.outcomes.attempt_outcomes import ShouldRetry
from scheduler_svc.store.rows.retention.run_retention import Retention

T = TypeVar("T")


class Term:
    """One leader's term."""

    def __init__(
        self,
        epoch: int,
        database: Database,
        workers: Workers,
        *,
        clock: Clock,
        should_retry: ShouldRetry,
        retention: Retention,
    ) -> None:
        self.epoch = epoch
        self.workers = workers
        self.should_retry = should_retry
        self.retention = retention
        self.faults = Faults(self)
        self._database = database
        self._clock = clock
        # One object for the whole term, so that a transaction checks the epoch once.
        self._guard = partial(check_epoch, epoch=epoch)

    def now(self) -> int:
        """Returns the time in microseconds since 1970."""
        return micros(self._clock())

    async def write(self, point: str, work: Work[T], *topics: str) -> T:
        """Writes, however long the database is unavailable; raises STALE_EPOCH if a newer leader exists.

        `point` names the transaction in the list of failpoints. `work` may run again after a commit
        in doubt, so it checks the existing rows.
        """
        failpoint(f"{point}.before_commit")
        backoff = Backoff()
        while True:
            try:
                written = await self._database.submit(work, *topics, guard=self._guard)
            except HeddleError as error:
                if error.reason != pb.ERROR_REASON_DATABASE_UNAVAILABLE:
                    raise
            else:
                failpoint(f"{point}.after_commit")
                return written
            await backoff.wait()

    async def maintain(self, work: Work[T]) -> T:
        """Removes old rows; raises DATABASE_UNAVAILABLE. `work` can be repeated and does not depend on the leader."""
        return await self._database.maintain(work)

    @property
    def divides_logs(self) -> bool:
        """Whether the database divides its logs by day."""
        return not is_sqlite(self._database.engine)

    async def read(self, work: Work[T]) -> T:
        """Reads, however long the database is unavailable."""
        backoff = Backoff()
        while True:
            try:
                return await self._database.read(work)
            except HeddleError as error:
                if error.reason != pb.ERROR_REASON_DATABASE_UNAVAILABLE:
                    raise
            await backoff.wait()
