"""Counts the round trips to PostgreSQL, as the client library itself traces them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import sqlalchemy as sa

# The server's message at the end of each round trip, in a trace of libpq.
_END = "ReadyForQuery"


class RoundTrips:
    """The round trips of all connections that an engine opens."""

    def __init__(self) -> None:
        self._traces: list[tuple[Any, IO[str]]] = []
        self._before = 0

    def trace(self, connection: Any) -> None:
        """Counts the round trips of psycopg's connection from now on."""
        trace = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open for as long as the connection)
        connection.pgconn.trace(trace.fileno())
        self._traces.append((connection, trace))

    def close(self) -> None:
        """Stops counting."""
        for connection, trace in self._traces:
            if not connection.closed:
                connection.pgconn.untrace()
            trace.close()

    def _total(self) -> int:
        total = 0
        for _, trace in self._traces:
            trace.seek(0)
            total += sum(_END in line for line in trace)
        return total

    def taken(self) -> int:
        """Returns the number since the last call."""
        # libpq writes its trace with a buffer of its own, which it empties when it stops.
        for connection, trace in self._traces:
            if not connection.closed:
                connection.pgconn.untrace()
                trace.seek(0, 2)
        total = self._total()
        for connection, trace in self._traces:
            if not connection.closed:
                trace.seek(0, 2)
                connection.pgconn.trace(trace.fileno())
        before, self._before = self._before, total
        return total - before


@contextmanager
def counting(engine: sa.Engine) -> Iterator[RoundTrips]:
    """Counts on connections that the engine opens inside the block."""
    trips = RoundTrips()

    def connect(connection: Any, _record: object) -> None:
        trips.trace(connection)

    sa.event.listen(engine, "connect", connect)
    try:
        yield trips
    finally:
        sa.event.remove(engine, "connect", connect)
        trips.close()
