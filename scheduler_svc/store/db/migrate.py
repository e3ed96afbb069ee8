"""Migrates a database's schema to the newest version with Alembic."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from scheduler_svc.store.db.engine import WRITES, is_sqlite, limit_silence

_SCRIPTS: Final = Path(__file__).resolve().parent.parent / "migrations"

# Key of the PostgreSQL lock that lets one replica migrate while the others wait.
_LOCK: Final = 0x4845_4444

# Milliseconds that one migration may take between two statements, to import its module for example. A busy machine
# needs more than the usual limit, and nothing but the other replicas' start waits for a migration.
_SILENCE: Final = 60_000

# Alembic's own table.
_REVISION: Final = sa.table("alembic_version", sa.column("version_num", sa.String))

_HEAD: Final = "head"


def migrate(engine: sa.Engine, revision: str = _HEAD) -> None:
    """Applies the missing migrations in one transaction; replicas that start together wait for each other."""
    if revision == _HEAD and _revision(engine) == newest():
        return
    # Takes a seventh of the time in which a scheduler starts, and most starts find the newest schema.
    from alembic import command  # noqa: PLC0415 (see above)
    from alembic.config import Config  # noqa: PLC0415 (see above)

    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            limit_silence(connection, _SILENCE)
            if not is_sqlite(connection):
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            config = Config()
            config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)


def newest() -> str:
    """Returns the newest revision of the schema; the names of the migrations' files begin with theirs: v0001_….py."""
    return max(path.name[1:5] for path in _SCRIPTS.glob("versions/v*.py"))


def _revision(engine: sa.Engine) -> str | None:
    """Returns the revision of a database's schema; None if it has none."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(_REVISION.name):
            return None
        return connection.execute(sa.select(_REVISION.c.version_num)).scalar()
