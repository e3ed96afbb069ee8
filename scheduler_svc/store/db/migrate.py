"""Migrates a database's schema to the newest version with Alembic."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from scheduler_svc.store.db.engine import WRITES, is_sqlite

_SCRIPTS: Final = Path(__file__).resolve().parent.parent / "migrations"

# Key of the PostgreSQL lock that lets one replica migrate while the others wait.
_LOCK: Final = 0x4845_4444


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Applies the missing migrations in one transaction; replicas that start together wait for each other."""
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            if not is_sqlite(connection):
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            config = Config()
            config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
