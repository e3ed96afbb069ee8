"""Opens SQLite or PostgreSQL by URL."""

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

# Execution option: this transaction will write.
WRITES: Final = "heddle_writes"

# Milliseconds that SQLite waits for another process's write.
_BUSY: Final = 10_000


def open_engine(url: str) -> sa.Engine:
    """Returns an engine that connects when it is first used; makes the folder of a SQLite file."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    return sa.create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 5})


def is_sqlite(engine: sa.Engine | sa.Connection) -> bool:
    """Returns whether this is SQLite, and not PostgreSQL."""
    return engine.dialect.name == "sqlite"


def _open_sqlite(url: sa.URL) -> sa.Engine:
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes too late for savepoints and for reads; ours is below.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {_BUSY}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        # A transaction that reads first and writes later could be refused; IMMEDIATE waits instead.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
