"""Opens SQLite or PostgreSQL by URL."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from heddle.config import ConfigError

# Execution option: this transaction will write.
WRITES: Final = "heddle_writes"

# Milliseconds after which PostgreSQL takes its locks from a replica that is frozen: it says nothing more.
SILENCE: Final = 3000

# Milliseconds that SQLite waits for another process's write.
_BUSY: Final = 10_000

# A server that the network hides is given up soon; the system's own patience is a quarter of an hour.
_PATIENCE: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def open_engine(url: str) -> sa.Engine:
    """Returns an engine that connects when it is first used; makes the folder of a SQLite file.

    Raises ConfigError, which names the setting, if that cannot work.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return _open_sqlite(parsed, parsed.database)
        if parsed.get_backend_name() in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
            return _open_postgres(parsed)
    except ModuleNotFoundError as error:
        raise ConfigError(
            "HEDDLE_DATABASE_URL names PostgreSQL; install its driver: heddle[postgres]"
        ) from error
    except (sa.exc.ArgumentError, ValueError):
        pass
    # The URL itself may hold a password.
    raise ConfigError("HEDDLE_DATABASE_URL takes sqlite:////absolute/path or postgresql://user@host/database")


def is_sqlite(engine: sa.Engine | sa.Connection) -> bool:
    """Returns whether this is SQLite, and not PostgreSQL."""
    return engine.dialect.name == "sqlite"


def _open_postgres(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_PATIENCE)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # Only who writes locks what others wait for; who reads may take time over what was read.
        if connection.get_execution_options().get(WRITES):
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {SILENCE}")

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
        # The driver's own BEGIN comes too late for savepoints and for reads; ours is below.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_BUSY}")
        _enter_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        # A transaction that reads first and writes later could be refused; IMMEDIATE waits instead.
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
