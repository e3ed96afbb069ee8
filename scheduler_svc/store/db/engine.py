"""Opens SQLite or PostgreSQL by URL."""

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from heddle.config import ConfigError
from scheduler_svc.store.db import pipeline

# Execution option: this transaction will write.
WRITES: Final = "heddle_writes"

# Key of a connection, and execution option of an engine: when it was opened, and when `renew_connections` was called.
_OPENED: Final = "heddle_opened"
_RENEWED: Final = "heddle_renewed"

# Connections that are kept open: four readers, the writer, and the leader's lock.
_POOL: Final = 6

# Milliseconds after which PostgreSQL releases the locks of a frozen replica, which sends nothing more.
SILENCE: Final = 3000

_LIMIT_WRITER: Final = "SET {scope} idle_in_transaction_session_timeout = {silence}"

# Milliseconds that SQLite waits for another process's write.
_BUSY: Final = 10_000

# Parameters of libpq that the URL may override. Gives up soon on a server that the network no longer reaches, for
# which the system's default is 15 minutes. A standby refuses writes, so it is not connected to.
_CONNECTING: Final[dict[str, str | int]] = {
    "fallback_application_name": "heddle",
    "target_session_attrs": "read-write",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def open_engine(url: str) -> sa.Engine:
    """Returns an engine that connects on first use; creates the folder of a SQLite file.

    Raises ConfigError, which names the setting, if the URL is not usable.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return _with_listeners(_open_sqlite(parsed, parsed.database))
        if parsed.get_backend_name() in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
            return _with_listeners(_open_postgres(parsed))
    except ModuleNotFoundError as error:
        raise ConfigError(
            "HEDDLE_DATABASE_URL names PostgreSQL; install its driver: heddle[postgres]"
        ) from error
    except (sa.exc.ArgumentError, ValueError):
        pass
    # The message omits the URL, which may contain a password.
    raise ConfigError("HEDDLE_DATABASE_URL takes sqlite:////absolute/path or postgresql://user@host/database")


def is_sqlite(engine: sa.Engine | sa.Connection) -> bool:
    """Returns whether the database is SQLite rather than PostgreSQL."""
    return engine.dialect.name == "sqlite"


def renew_connections(engine: sa.Engine) -> None:
    """Lets each connection that is open now be replaced when it is next taken from the pool.

    `Engine.dispose` would replace the pool, and a connection that returns to a replaced pool is never closed.
    """
    engine.update_execution_options(**{_RENEWED: time.monotonic()})


def _with_listeners(engine: sa.Engine) -> sa.Engine:
    @sa.event.listens_for(engine, "before_cursor_execute")
    def send_queue(connection: sa.Connection, *_: object) -> None:
        # Every statement sees what its connection has queued before.
        pipeline.flush(connection)

    @sa.event.listens_for(engine, "connect")
    def remember(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info[_OPENED] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def replace(_connection: object, record: sa.pool.ConnectionPoolEntry, _proxy: object) -> None:
        if record.info[_OPENED] < engine.get_execution_options().get(_RENEWED, 0):
            raise sa.exc.DisconnectionError

    return engine


def is_usable(connection: sa.Connection) -> bool:
    """Returns False if an idle connection has been closed since it was last used."""
    if is_sqlite(connection):
        return True
    return not connection.invalidated and _is_open(connection.connection.dbapi_connection)


def limit_silence(connection: sa.Connection, milliseconds: int) -> None:
    """Sets after how long PostgreSQL ends the current transaction if this process sends nothing more."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(_LIMIT_WRITER.format(scope="LOCAL", silence=milliseconds))


def open_writer(engine: sa.Engine) -> sa.Connection:
    """Returns a connection whose every transaction writes. The caller invalidates it before it closes it."""
    connection = engine.connect()
    if is_sqlite(engine):
        return connection.execution_options(**{WRITES: True})
    try:
        # For the whole session, which saves a statement in each transaction.
        connection.exec_driver_sql(_LIMIT_WRITER.format(scope="SESSION", silence=SILENCE))
        connection.commit()
        # The driver would wait for the answer to its own BEGIN. The writer sends one with its first statements.
        pipeline.begin_explicitly(connection)
    except BaseException:
        connection.invalidate()
        connection.close()
        raise
    return connection


def _open_postgres(url: sa.URL) -> sa.Engine:
    # Not pool_pre_ping, which costs a round trip for each transaction.
    engine = sa.create_engine(
        url,
        pool_size=_POOL,
        connect_args={name: value for name, value in _CONNECTING.items() if name not in url.query},
    )

    @sa.event.listens_for(engine, "checkout")
    def check(connection: Any, _record: object, _proxy: object) -> None:
        if not _is_open(connection):
            raise sa.exc.DisconnectionError

    @sa.event.listens_for(engine, "handle_error")
    def leave_standby(context: sa.engine.ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", "") == pipeline.READ_ONLY:
            # The server has become a standby since the connection was made.
            context.is_disconnect = True

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # Only a writer holds locks that others wait for; a reader may pause between reads.
        if connection.get_execution_options().get(WRITES):
            limit_silence(connection, SILENCE)

    return engine


def _is_open(connection: Any) -> bool:
    """Returns False if the server or the network has closed psycopg's connection. Needs no round trip."""
    # The first call may read only the server's farewell.
    for _ in range(2):
        with suppress(connection.OperationalError):
            connection.pgconn.consume_input()
    return not connection.closed


def _open_sqlite(url: sa.URL, path: str) -> sa.Engine:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder of the database {path} cannot be made ({error.strerror}); choose another"
            " HEDDLE_HOME or HEDDLE_DATABASE_URL"
        ) from error
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes too late for savepoints and reads; the BEGIN below replaces it.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_BUSY}")
        _enter_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        # SQLite could reject a transaction that reads first and writes later; IMMEDIATE waits instead.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Turns on write-ahead logging; SQLite's busy timeout does not cover this one change of a new file."""
    deadline = time.monotonic() + _BUSY / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
