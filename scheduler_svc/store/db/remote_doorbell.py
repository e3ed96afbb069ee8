"""The doorbell between replicas: PostgreSQL's LISTEN and NOTIFY."""

import asyncio
import threading
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

import sqlalchemy as sa
import structlog

from scheduler_svc.store.db.doorbell import Doorbell

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_CHANNEL: Final = "heddle"
_NOTIFY: Final = sa.select(sa.func.pg_notify(_CHANNEL, sa.bindparam("payload")))

# PostgreSQL accepts payloads of less than 8000 bytes.
_LARGEST_PAYLOAD: Final = 7000

# Seconds between checks for the end, and before a broken connection is renewed.
_PAUSE: Final = 0.5

# Maximum seconds that `start` waits.
_PATIENCE: Final = 5.0


class RemoteDoorbell:
    """Sends this replica's rings to the others, and rings theirs here.

    NOTIFY inside a writing transaction would serialise all commits of the
    server. Rings are therefore sent after the commit, in a separate transaction.
    """

    def __init__(self, engine: sa.Engine, doorbell: Doorbell, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._doorbell = doorbell
        self._loop = loop
        self._identity = uuid.uuid4().hex
        self._ending = threading.Event()
        self._hearing = threading.Event()
        self._thread = threading.Thread(target=self._hear, name="database-listener", daemon=True)

    def start(self) -> None:
        """Starts to listen; blocks until it listens, or for a short time if it cannot yet."""
        self._thread.start()
        self._hearing.wait(_PATIENCE)

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def ring(self, topics: Iterable[str]) -> None:
        """Sends `topics`; only logs a failure, because watchers also poll from time to time."""
        try:
            with self._engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                for payload in self._payloads(topics):
                    connection.execute(_NOTIFY, {"payload": payload})
        except sa.exc.DBAPIError as error:
            log.warning("ring_not_sent", error=str(error))

    def _payloads(self, topics: Iterable[str]) -> Iterator[str]:
        payload = self._identity
        for topic in topics:
            if len(payload) + len(topic) > _LARGEST_PAYLOAD:
                yield payload
                payload = self._identity
            payload += f"\n{topic}"
        yield payload

    def _hear(self) -> None:
        while not self._ending.is_set():
            try:
                self._hear_until_broken()
            except Exception as error:  # noqa: BLE001 (a new connection fixes any error)
                log.warning("doorbell_broken", error=str(error))
                self._ending.wait(_PAUSE)

    def _hear_until_broken(self) -> None:
        borrowed = self._engine.raw_connection()
        # psycopg's own connection, because SQLAlchemy has no interface for LISTEN.
        connection: Any = borrowed.driver_connection
        borrowed.detach()
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {_CHANNEL}")
            # Rings before this moment were not received.
            self._loop.call_soon_threadsafe(self._doorbell.ring_all)
            self._hearing.set()
            while not self._ending.is_set():
                for notice in connection.notifies(timeout=_PAUSE):
                    sender, *topics = notice.payload.split("\n")
                    if sender != self._identity:
                        self._loop.call_soon_threadsafe(self._doorbell.ring, topics)
        finally:
            borrowed.close()
