"""Elects the leader, with a lock that ends with its holder and an epoch that fences off earlier leaders."""

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import sqlalchemy as sa
import structlog

from heddle import errors, pb
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.engine import SILENCE, is_sqlite
from scheduler_svc.store.db.tables import leadership

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# PostgreSQL's lock of the leader.
_LOCK: Final = 0x4845_4C45

# Seconds between tries of a replica that does not lead, and between signs of life of the leader.
_RETRY: Final = 1.0


class Lock(Protocol):
    """A lock that only one process can hold, and that ends with this process."""

    def try_acquire(self) -> bool:
        """Tries to take the lock; returns whether this process now holds it."""

    def is_held(self) -> bool:
        """Returns whether this process still holds the lock; sends a sign of life if the lock needs one."""

    def release(self) -> None:
        """Releases the lock. Idempotent."""


class FileLock:
    """flock on a file next to the SQLite database."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    def try_acquire(self) -> bool:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def is_held(self) -> bool:
        return self._file is not None

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class AdvisoryLock:
    """A session advisory lock of PostgreSQL, on a connection of its own.

    It ends with its connection, which the server closes if a frozen leader sends nothing on it.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        # A sign of life may still be in progress when the lock is released.
        self._mutex = threading.RLock()

    def try_acquire(self) -> bool:
        self.release()
        connection = self._engine.connect()
        try:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            is_held = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK))).scalar_one())
            if is_held:
                connection.execute(_LIMIT_SILENCE, {"silence": str(SILENCE)})
        except BaseException:
            _end_session(connection)
            raise
        if is_held:
            self._connection = connection
        else:
            connection.close()
        return is_held

    def is_held(self) -> bool:
        with self._mutex:
            try:
                if self._connection is not None:
                    self._connection.execute(sa.select(1))
            except sa.exc.DBAPIError:
                return False
            return self._connection is not None

    def release(self) -> None:
        with self._mutex:
            connection, self._connection = self._connection, None
            if connection is not None:
                _end_session(connection)


def _end_session(connection: sa.Connection) -> None:
    """Closes a connection without returning it to the pool: a lock ends with its session."""
    connection.invalidate()
    connection.close()


# PostgreSQL before version 14 has no such limit: a frozen leader keeps the lock there.
_LIMIT_SILENCE = sa.text(
    "SELECT set_config(name, :silence, false) FROM pg_settings WHERE name = 'idle_session_timeout'"
)


class Leadership:
    """This replica's claim to lead."""

    def __init__(self, database: Database) -> None:
        self._database = database
        engine = database.engine
        self._lock: Lock = (
            FileLock(f"{engine.url.database}.leader") if is_sqlite(engine) else AdvisoryLock(engine)
        )

    async def acquire(self, above: Callable[[], int] = lambda: 0) -> int:
        """Waits until this replica leads; returns its epoch, which is higher than all earlier ones and than `above()`.

        Workers may have seen a higher epoch than the database, if the database was restored from a backup.
        If cancelled, does not keep the lock.
        """
        while True:
            trying = asyncio.ensure_future(asyncio.to_thread(self._lock.try_acquire))
            try:
                if await asyncio.shield(trying):
                    epoch = await self._database.submit(partial(_next_epoch, above=above()))
                    log.info("leading", epoch=epoch)
                    return epoch
            except (errors.HeddleError, sa.exc.DBAPIError, OSError) as error:
                log.warning("cannot_lead_yet", error=str(error))
                await self.release()
            except asyncio.CancelledError:
                # The thread would otherwise take the lock after this.
                await asyncio.gather(trying, return_exceptions=True)
                await self.release()
                raise
            await asyncio.sleep(_RETRY)

    async def lost(self) -> None:
        """Returns once this replica no longer leads."""
        while await asyncio.to_thread(self._lock.is_held):  # noqa: ASYNC110 (each check is a sign of life)
            await asyncio.sleep(_RETRY)

    async def release(self) -> None:
        """Lets another replica lead. Idempotent."""
        await asyncio.to_thread(self._lock.release)


def _next_epoch(connection: sa.Connection, above: int) -> int:
    # A statement each, because databases name the larger of two values differently.
    connection.execute(sa.update(leadership).where(leadership.c.epoch < above).values(epoch=above))
    raised = sa.update(leadership).values(epoch=leadership.c.epoch + 1).returning(leadership.c.epoch)
    return int(connection.execute(raised).scalar_one())


# The newest leader's epoch.
NEWEST_EPOCH: Final = sa.select(leadership.c.epoch)


def read_epoch(connection: sa.Connection) -> int:
    """Returns the newest leader's epoch; 0 before the first leader."""
    return int(connection.execute(NEWEST_EPOCH).scalar_one())


# FOR SHARE makes the next leader wait for this transaction; SQLite's writers wait anyway.
_EPOCH = NEWEST_EPOCH.with_for_update(read=True)
_IS_NEWEST = _EPOCH.where(leadership.c.epoch == sa.bindparam("of_epoch"))


def check_epoch(connection: sa.Connection, epoch: int) -> None:
    """Raises STALE_EPOCH if a newer leader exists. Runs first in every transaction of the loop.

    If the connection queues, the check is queued too, and a newer leader makes the transaction run again.
    """
    if pipeline.queues(connection):
        pipeline.later(connection, _IS_NEWEST, {"of_epoch": epoch}, required=True)
        return
    newest = int(connection.execute(_EPOCH).scalar_one())
    if newest != epoch:
        raise errors.HeddleError(
            pb.ERROR_REASON_STALE_EPOCH,
            f"epoch {epoch} has been replaced by {newest}: a newer leader is at work",
            epoch=newest,
        )
