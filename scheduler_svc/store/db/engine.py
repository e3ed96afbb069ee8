"""Opens SQLite or PostgreSQL by URL."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from heddle.config import ConfigError
from scheduler_svc.store.db import pipeline

# Execution option: this transaction will write.
WRITES: Final = "heddle_writes"

# Milliseconds after which PostgreSQL releases the locks of a frozen replica, which sends nothing more.
SILENCE: Final = 3000

_LIMIT_WRITER: Final = "SET {scope} idle_in_transaction_session_timeout = {silence}"

# Milliseconds that SQLite waits for another process's write.
_BUSY: Final = 10_000

# Gives up soon on a server that the network no longer reaches; the system's default is 15 minutes.
_PATIENCE: Final = {
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
            return _with_queue(_open_sqlite(parsed, parsed.database))
        if parsed.get_backend_name() in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
            return _with_queue(_open_postgres(parsed))
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


def _with_queue(engine: sa.Engine) -> sa.Engine:
    """Lets every statement see what its connection has queued before."""

    @sa.event.listens_for(engine, "before_cursor_execute")
    def send_queue(connection: sa.Connection, *_: object) -> None:
        pipeline.flush(connection)

    return engine


def open_writer(engine: sa.Engine) -> sa.Connection:
    """Returns a connection, not from the pool, whose every transaction writes. The caller closes it."""
    connection = engine.connect()
    if is_sqlite(engine):
        return connection.execution_options(**{WRITES: True})
    try:
        connection.detach()
        connection.exec_driver_sql(_LIMIT_WRITER.format(scope="SESSION", silence=SILENCE))
        connection.commit()
        # The driver would wait for the answer to its own BEGIN. The writer sends one with its first statements.
        pipeline.begin_explicitly(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_postgres(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_PATIENCE)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # Only a writer holds locks that others wait for; a reader may pause between reads.
        if connection.get_execution_options().get(WRITES):
            connection.exec_driver_sql(_LIMIT_WRITER.format(scope="LOCAL", silence=SILENCE))

    return engine


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
