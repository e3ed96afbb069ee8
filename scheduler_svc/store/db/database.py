"""The scheduler's database, with one writer that uses group commit, and concurrent readers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar

import sqlalchemy as sa
import structlog

from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.engine import is_sqlite, open_engine
from scheduler_svc.store.db.migrate import migrate
from scheduler_svc.store.db.remote_doorbell import RemoteDoorbell
from scheduler_svc.store.db.writer import LOST, Guard, Job, Work, Writer, unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

# Aliases of the transaction and row types, for modules that contain no SQL.
Connection: TypeAlias = sa.Connection
Row: TypeAlias = sa.Row[Any]

_READERS: Final = 4


class Database:
    """The scheduler's database. Before `open` and after `close`, every call raises DATABASE_UNAVAILABLE."""

    def __init__(self, url: str, doorbell: Doorbell) -> None:
        self.engine = open_engine(url)
        # SQLite needs a transaction for a consistent view. On PostgreSQL each statement has its own, in or
        # outside of one, so BEGIN and COMMIT would be two round trips for nothing.
        self._reading = (
            self.engine
            if is_sqlite(self.engine)
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._doorbell = doorbell
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-reader")
        self._maintenance = ThreadPoolExecutor(1, thread_name_prefix="database-maintenance")
        self._writer: Writer | None = None
        self._remote: RemoteDoorbell | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Migrates the schema to the newest version and starts the writer.

        Raises DATABASE_UNAVAILABLE, after which it can be called again.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(migrate, self.engine)
        except sa.exc.DBAPIError as error:
            raise unavailable(error) from error
        if not is_sqlite(self.engine):
            self._remote = RemoteDoorbell(self.engine, self._doorbell, self._loop)
            await asyncio.to_thread(self._remote.start)
        self._writer = Writer(self.engine, self._deliver)
        self._writer.start()

    async def close(self) -> None:
        """Writes the queued work, then closes every connection. Idempotent."""
        writer, self._writer = self._writer, None
        if writer:
            await asyncio.to_thread(writer.stop)
        if self._remote:
            await asyncio.to_thread(self._remote.stop)
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._maintenance.shutdown)
        self.engine.dispose()

    async def submit(self, work: Work[T], *topics: str, guard: Guard | None = None) -> T:
        """Runs `work` in the writer's next transaction; returns its result after the commit.

        Raises the error of `work`, and rolls back only the changes of this work. Rings
        `topics` after the commit. `work` may run more than once: it must keep no state
        of an earlier run, and check the existing rows. `guard` runs once for all work of
        a transaction that shares it; each caller receives its error. Waiting work that is
        `Grouped` shares its statements too.
        """
        if self._writer is None:
            raise unavailable(RuntimeError("it is not open"))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.put(Job(work, topics, guard, future))
        return await future

    async def maintain(self, work: Work[T]) -> T:
        """Runs `work` that removes old rows, in a transaction that on PostgreSQL does not delay the writer's."""
        if self._writer is None:
            raise unavailable(RuntimeError("it is not open"))
        if is_sqlite(self.engine):
            return await self.submit(work)
        return await asyncio.get_running_loop().run_in_executor(self._maintenance, self._maintain, work)

    def _maintain(self, work: Work[T]) -> T:
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except LOST as error:
            raise unavailable(error) from error

    async def read(self, work: Work[T]) -> T:
        """Runs `work` on a reader thread, on SQLite with one consistent view of the database."""
        if self._writer is None:
            raise unavailable(RuntimeError("it is not open"))
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        try:
            return self._read_once(work)
        except LOST as error:
            if not getattr(error, "connection_invalidated", False):
                raise unavailable(error) from error
            # The server has closed an open connection; the pool then opens new ones.
            log.info("read_again", error=str(error))
        try:
            return self._read_once(work)
        except LOST as error:
            raise unavailable(error) from error

    def _read_once(self, work: Work[T]) -> T:
        with self._reading.connect() as connection, connection.begin():
            return work(connection)

    def _deliver(self, group: Sequence[Job], outcomes: Sequence[Any]) -> None:
        topics: dict[str, None] = {}
        for job, outcome in zip(group, outcomes, strict=True):
            if not isinstance(outcome, Exception):
                topics.update(dict.fromkeys(job.topics))

        def settle() -> None:
            for job, outcome in zip(group, outcomes, strict=True):
                if job.future.done():
                    continue
                if isinstance(outcome, Exception):
                    job.future.set_exception(outcome)
                else:
                    job.future.set_result(outcome)
            self._doorbell.ring(topics)

        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(settle)
        if self._remote and topics:
            self._remote.ring(topics)
