"""Databases with the newest schema, copied instead of migrated: each migration takes longer than most tests."""

import tempfile
from functools import cache
from pathlib import Path

from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.migrate import migrate


@cache
def sqlite_file() -> bytes:
    """Returns the content of a SQLite database with the newest schema and no rows of runs."""
    with tempfile.TemporaryDirectory(prefix="heddle-migrated-") as folder:
        path = Path(folder, "heddle.db")
        apply_migrations(f"sqlite:///{path}")
        return path.read_bytes()


def apply_migrations(url: str) -> None:
    """Gives a database the newest schema."""
    engine = open_engine(url)
    try:
        migrate(engine)
    finally:
        # The last connection moves everything from the log to the file.
        engine.dispose()
