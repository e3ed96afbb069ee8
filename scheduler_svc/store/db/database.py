"""The scheduler's database, with one writer that uses group commit, and concurrent readers.

A commit costs an fsync, so functions that wait to write share one transaction.
If one of them fails, the transaction is rolled back and all run again, each in a
savepoint. The failure does not affect the others, and a group without failures
needs no savepoints.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import sqlalchemy as sa
import structlog

from heddle import errors, pb
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.engine import WRITES, is_sqlite, open_engine
from scheduler_svc.store.db.events import collecting
from scheduler_svc.store.db.migrate import migrate
from scheduler_svc.store.db.remote_doorbell import RemoteDoorbell

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

# Aliases of the transaction and row types, for modules that contain no SQL.
Connection: TypeAlias = sa.Connection
Row: TypeAlias = sa.Row[Any]

Work: TypeAlias = Callable[[Connection], T]

# Runs first in a transaction, and raises if this writer is not allowed to write.
Guard: TypeAlias = Callable[[sa.Connection], None]

# Maximum number of functions in one transaction; more would only delay the first of them.
_LARGEST_GROUP: Final = 256

_READERS: Final = 4

# The connection or the disk failed, not the work: the whole group must run again. The last error occurs
# when work continues on a broken connection.
_LOST: Final = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.PendingRollbackError)


@dataclass(frozen=True)
class _Job:
    work: Work[Any]
    topics: tuple[str, ...]
    guard: Guard | None
    future: "asyncio.Future[Any]"


def unavailable(error: Exception) -> errors.HeddleError:
    """Returns the error for a database that is currently unavailable."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()
    return errors.HeddleError(
        pb.ERROR_REASON_DATABASE_UNAVAILABLE,
        f"the database cannot be used now: {cause[0] if cause else type(error).__name__}",
    )


class Database:
    """The scheduler's database. Before `open` and after `close`, every call raises DATABASE_UNAVAILABLE."""

    def __init__(self, url: str, doorbell: Doorbell) -> None:
        self.engine = open_engine(url)
        self._doorbell = doorbell
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-reader")
        self._writer: threading.Thread | None = None
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
        self._writer = threading.Thread(target=self._write_groups, name="database-writer", daemon=True)
        self._writer.start()

    async def close(self) -> None:
        """Writes the queued work, then closes every connection. Idempotent."""
        writer, self._writer = self._writer, None
        if writer:
            self._queue.put(None)
            await asyncio.to_thread(writer.join)
        if self._remote:
            await asyncio.to_thread(self._remote.stop)
        await asyncio.to_thread(self._readers.shutdown)
        self.engine.dispose()

    async def submit(self, work: Work[T], *topics: str, guard: Guard | None = None) -> T:
        """Runs `work` in the writer's next transaction; returns its result after the commit.

        Raises the error of `work`, and rolls back only the changes of this work. Rings
        `topics` after the commit. `work` may run more than once: it must keep no state
        of an earlier run, and check the existing rows. `guard` runs once for all work of
        a transaction that shares it; each caller receives its error.
        """
        if self._writer is None:
            raise unavailable(RuntimeError("it is not open"))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(work, topics, guard, future))
        return await future

    async def read(self, work: Work[T]) -> T:
        """Runs `work` on a reader thread with one consistent view of the database."""
        if self._writer is None:
            raise unavailable(RuntimeError("it is not open"))
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        try:
            with self.engine.connect() as connection, connection.begin():
                return work(connection)
        except _LOST as error:
            raise unavailable(error) from error

    def _write_groups(self) -> None:
        while (job := self._queue.get()) is not None:
            group = [job]
            last = False
            while len(group) < _LARGEST_GROUP:
                try:
                    follower = self._queue.get_nowait()
                except queue.Empty:
                    break
                if follower is None:
                    last = True
                    break
                group.append(follower)
            self._deliver(group, self._transact(group))
            if last:
                return

    def _transact(self, group: Sequence[_Job]) -> list[Any]:
        """Returns the result of each job, or the exception to raise to its caller."""
        try:
            with self.engine.connect() as connection:
                connection.execution_options(**{WRITES: True})
                try:
                    with connection.begin():
                        return _run_bare(group, connection)
                except _LOST:
                    raise
                except Exception as error:
                    # Otherwise one of the jobs failed; the next lines find out which.
                    if connection.invalidated:
                        raise
                    if len(group) == 1:
                        return [error]
                with connection.begin():
                    return _run_apart(group, connection)
        except Exception as error:  # noqa: BLE001 (each job receives it; the writer must continue)
            log.warning("database_unavailable", error=str(error))
            return [unavailable(error)] * len(group)

    def _deliver(self, group: Sequence[_Job], outcomes: Sequence[Any]) -> None:
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


def _run_bare(group: Sequence[_Job], connection: sa.Connection) -> list[Any]:
    for guard in {job.guard for job in group if job.guard}:
        guard(connection)
    with collecting(connection):
        return [job.work(connection) for job in group]


def _run_apart(group: Sequence[_Job], connection: sa.Connection) -> list[Any]:
    outcomes: list[Any] = []
    for job in group:
        try:
            with connection.begin_nested():
                outcomes += _run_bare([job], connection)
        except _LOST:
            raise
        except Exception as error:
            if connection.invalidated:
                raise
            # The caller of `submit` raises it.
            outcomes.append(error)
    return outcomes
