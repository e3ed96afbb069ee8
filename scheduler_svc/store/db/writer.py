"""The one thread of a replica that writes, with group commit.

A commit costs an fsync and several round trips, so work that waits to be written shares one
transaction. Work of one kind on many items can in addition share its statements (`Grouped`).
If some work fails, the transaction is rolled back, and each half of it runs again in a savepoint, down to
the work that fails alone. The failure does not affect the others, and a group without failures needs no savepoints.
"""

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar

import sqlalchemy as sa
import structlog
from prometheus_client import Counter, Histogram

from heddle import errors, pb
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.engine import is_usable, open_writer, renew_connections
from scheduler_svc.store.db.events import collecting

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Item = TypeVar("Item")
T = TypeVar("T")

Work: TypeAlias = Callable[[sa.Connection], T]

# Runs first in a transaction, and raises if this writer is not allowed to write.
Guard: TypeAlias = Callable[[sa.Connection], None]

# Maximum numbers of jobs, and of bytes of their items, in one transaction; more would only delay the first of them.
_LARGEST_GROUP: Final = 1024
_LARGEST_BYTES: Final = 16 << 20

# The connection or the disk failed, not the work: the whole group must run again. The last error occurs
# when work continues on a broken connection.
LOST: Final = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.PendingRollbackError)


_SECONDS: Final = Histogram("heddle_database_transaction_seconds", "Duration of a writing transaction.")
_JOBS: Final = Histogram(
    "heddle_database_transaction_jobs",
    "Pieces of work that shared a writing transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)
_UNAVAILABLE: Final = Counter(
    "heddle_database_failures", "Transactions that the database was unavailable for."
)


@dataclass(frozen=True)
class Grouped(Generic[Item, T]):
    """Work on one item that a transaction does for all of its items at the same time.

    `run` returns one result for each item, in order. If it raises, it runs again with fewer items.
    """

    run: Callable[[sa.Connection, Sequence[Item]], Sequence[T]]
    item: Item
    # Size of the item in bytes.
    size: int = 0

    def __call__(self, connection: sa.Connection) -> T:
        """Does the work on this item alone."""
        (result,) = self.run(connection, [self.item])
        return result


@dataclass(frozen=True)
class Job:
    """Work that waits for the writer; its caller waits for the future."""

    work: Work[Any]
    topics: tuple[str, ...]
    guard: Guard | None
    future: "asyncio.Future[Any]"

    @property
    def size(self) -> int:
        return self.work.size if isinstance(self.work, Grouped) else 0


def unavailable(error: Exception) -> errors.HeddleError:
    """Returns the error for a database that is currently unavailable."""
    orig = getattr(error, "orig", None) or error
    cause = (str(orig).strip().splitlines() or [type(orig).__name__])[0]
    if getattr(orig, "sqlstate", "") == pipeline.READ_ONLY or "session is read-only" in str(orig):
        cause = f"its server is a read-only standby ({cause}); HEDDLE_DATABASE_URL must name the primary, or all servers"
    return errors.HeddleError(
        pb.ERROR_REASON_DATABASE_UNAVAILABLE, f"the database cannot be used now: {cause}"
    )


class Writer:
    """Writes jobs in groups, on a connection of its own, and delivers the outcome of each."""

    def __init__(self, engine: sa.Engine, deliver: Callable[[Sequence[Job], Sequence[Any]], None]) -> None:
        """`deliver` gets, for each job of a group, its result or the exception to raise to its caller."""
        self._engine = engine
        self._deliver = deliver
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._connection: sa.Connection | None = None
        self._thread = threading.Thread(target=self._write_groups, name="database-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, job: Job) -> None:
        self._queue.put(job)

    def stop(self) -> None:
        """Writes what waits, then ends."""
        self._queue.put(None)
        self._thread.join()

    def _write_groups(self) -> None:
        try:
            while group := self._next_group():
                _JOBS.observe(len(group))
                with _SECONDS.time():
                    outcomes = self._transact(group)
                self._deliver(group, outcomes)
        finally:
            self._disconnect()

    def _next_group(self) -> list[Job]:
        """Waits for work; returns what waits, up to the limits of a group. Empty: the end."""
        job = self._queue.get()
        group: list[Job] = []
        size = 0
        while job is not None:
            group.append(job)
            size += job.size
            if len(group) >= _LARGEST_GROUP or size >= _LARGEST_BYTES:
                return group
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return group
        if group:
            # For the next call.
            self._queue.put(None)
        return group

    def _transact(self, group: Sequence[Job]) -> list[Any]:
        """Returns the result of each job, or the exception to raise to its caller."""
        try:
            return _run(group, self._connected())
        except Exception as error:  # noqa: BLE001 (each job receives it; the writer must continue)
            self._disconnect()
            # The others may lead to the same server.
            renew_connections(self._engine)
            _UNAVAILABLE.inc()
            problem = unavailable(error)
            log.warning("database_unavailable", error=problem.message)
            return [problem] * len(group)

    def _connected(self) -> sa.Connection:
        if self._connection is not None and not is_usable(self._connection):
            self._disconnect()
        if self._connection is None:
            self._connection = open_writer(self._engine)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sa.exc.DBAPIError):
                # Its settings are not for others.
                connection.invalidate()
                connection.close()


def _run(group: Sequence[Job], connection: sa.Connection) -> list[Any]:
    """Runs jobs in a transaction and commits it; returns the result or the error of each."""
    try:
        with pipeline.queueing(connection):
            outcomes = _guarded(group, connection, _run_together)
            # Statements whose results are not needed go with the commit.
            pipeline.flush(connection, commit=True)
        connection.commit()
    except Exception as error:
        if _is_lost(error, connection):
            raise
        connection.rollback()
        if len(group) == 1 and not isinstance(error, pipeline.MissedError):
            return [error]
        log.info("group_failed", jobs=len(group), error=repr(error))
    else:
        return outcomes
    # One of the jobs failed; the next lines find out which.
    pipeline.begin(connection)
    outcomes = _guarded(group, connection, _run_apart)
    connection.commit()
    return outcomes


def _guarded(
    group: Sequence[Job],
    connection: sa.Connection,
    run: Callable[[Sequence[Job], sa.Connection], Sequence[Any]],
) -> list[Any]:
    """Checks each guard once, then runs the jobs whose guard has not refused them."""
    refusals: dict[Guard, Exception] = {}
    for guard in {job.guard for job in group if job.guard}:
        try:
            guard(connection)
        except Exception as error:
            if _is_lost(error, connection):
                raise
            # The callers of `submit` raise it.
            refusals[guard] = error
    outcomes: list[Any] = [job.guard and refusals.get(job.guard) for job in group]
    allowed = [place for place, outcome in enumerate(outcomes) if outcome is None]
    results = run([group[place] for place in allowed], connection) if allowed else ()
    for place, result in zip(allowed, results, strict=True):
        outcomes[place] = result
    return outcomes


def _run_together(group: Sequence[Job], connection: sa.Connection) -> list[Any]:
    outcomes: list[Any] = [None] * len(group)
    grouped: defaultdict[Callable[..., Any], list[int]] = defaultdict(list)
    with collecting(connection):
        for place, job in enumerate(group):
            if isinstance(job.work, Grouped):
                grouped[job.work.run].append(place)
            else:
                outcomes[place] = job.work(connection)
        for run, places in grouped.items():
            items = [work.item for place in places if isinstance(work := group[place].work, Grouped)]
            for place, result in zip(places, run(connection, items), strict=True):
                outcomes[place] = result
    return outcomes


def _run_apart(group: Sequence[Job], connection: sa.Connection) -> list[Any]:
    """Runs jobs in a savepoint, and again in halves if one fails; returns the result or the error of each."""
    try:
        with connection.begin_nested():
            return _run_together(group, connection)
    except Exception as error:
        if _is_lost(error, connection):
            raise
        if len(group) == 1:
            # The caller of `submit` raises it.
            return [error]
    middle = len(group) // 2
    return [*_run_apart(group[:middle], connection), *_run_apart(group[middle:], connection)]


def _is_lost(error: Exception, connection: sa.Connection) -> bool:
    return isinstance(error, LOST) or bool(connection.invalidated)
