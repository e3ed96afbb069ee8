"""The doorbell between replicas: PostgreSQL's LISTEN and NOTIFY."""

import asyncio
import queue
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
import structlog

from scheduler_svc.store.db.doorbell import Doorbell

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_CHANNEL: Final = "heddle"
_NOTIFY: Final = f"SELECT pg_notify('{_CHANNEL}', %s)"

# PostgreSQL accepts payloads of less than 8000 bytes.
_LARGEST_PAYLOAD: Final = 7000

# Seconds between checks for the end, and before a broken connection is renewed.
_PAUSE: Final = 0.5

# Maximum seconds that `start` waits.
_PATIENCE: Final = 5.0


class RemoteDoorbell:
    """Sends this replica's rings to the others, and rings theirs here.

    NOTIFY inside a writing transaction would serialise all commits of the
    server. Rings are therefore sent after the commit, in a separate transaction, and by a
    thread of their own: the writer does not wait for them, and rings that wait are sent together.
    """

    def __init__(self, engine: sa.Engine, doorbell: Doorbell, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._doorbell = doorbell
        self._loop = loop
        self._identity = uuid.uuid4().hex
        self._ending = threading.Event()
        self._hearing = threading.Event()
        # None: the end.
        self._unsent: queue.SimpleQueue[tuple[str, ...] | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._hear, name="database-listener", daemon=True)
        self._sender = threading.Thread(target=self._send, name="database-ringer", daemon=True)

    def start(self) -> None:
        """Starts to listen; blocks until it listens, or for a short time if it cannot yet."""
        self._listener.start()
        self._sender.start()
        self._hearing.wait(_PATIENCE)

    def stop(self) -> None:
        """Sends the rings that wait, then ends."""
        self._ending.set()
        self._unsent.put(None)
        self._sender.join()
        self._listener.join()

    def ring(self, topics: Iterable[str]) -> None:
        """Sends `topics` soon; does not wait for that."""
        self._unsent.put(tuple(topics))

    def _send(self) -> None:
        topics: dict[str, None] = {}
        while topics or (topics := self._waiting()):
            worked = False
            try:
                with self._connected() as connection:
                    while topics:
                        payloads = [(payload,) for payload in self._payloads(topics)]
                        connection.cursor().executemany(_NOTIFY, payloads)
                        worked = True
                        topics = self._waiting()
            except Exception as error:  # noqa: BLE001 (a new connection fixes any error; a ring can be repeated)
                log.warning("ring_not_sent", error=str(error))
                # An idle connection may have been closed; a new one that fails as well is not tried at once.
                if not worked and self._ending.wait(_PAUSE):
                    return
            else:
                return

    def _waiting(self) -> dict[str, None]:
        """Waits for rings; returns the topics of all that wait. Empty: the end."""
        rings = [self._unsent.get()]
        while rings[-1] is not None and not self._unsent.empty():
            rings.append(self._unsent.get())
        if rings[-1] is None and len(rings) > 1:
            self._unsent.put(None)
        return dict.fromkeys(topic for ring in rings if ring is not None for topic in ring)

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
        with self._connected() as connection:
            connection.execute(f"LISTEN {_CHANNEL}")
            # Rings before this moment were not received.
            self._loop.call_soon_threadsafe(self._doorbell.ring_all)
            self._hearing.set()
            while not self._ending.is_set():
                for notice in connection.notifies(timeout=_PAUSE):
                    sender, *topics = notice.payload.split("\n")
                    if sender != self._identity:
                        self._loop.call_soon_threadsafe(self._doorbell.ring, topics)

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Yields psycopg's own connection, because SQLAlchemy has no interface for LISTEN."""
        borrowed = self._engine.raw_connection()
        connection: Any = borrowed.driver_connection
        borrowed.detach()
        try:
            connection.autocommit = True
            yield connection
        finally:
            borrowed.close()
