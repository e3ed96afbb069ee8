"""Databases, and a scheduler with a fake worker."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.store.db import engine, leadership
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from tests.support.migrated import apply_migrations, sqlite_file
from tests.support.postgres import Postgres, running_postgres
from tests.support.scheduler import Scheduler, scheduling, serving_fake

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of a database with the newest schema, from which others are copied."""
    apply_migrations(postgres.new_database("migrated"))
    return "migrated"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL waits longer than usual for a silent writer or leader: on a busy machine, a thread may not run for seconds."""
    for module in (engine, leadership):
        monkeypatch.setattr(module, "SILENCE", 60_000)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind with the newest schema."""
    if request.param == "sqlite":
        (tmp_path / "heddle.db").write_bytes(sqlite_file())
        return f"sqlite:///{tmp_path / 'heddle.db'}"
    request.getfixturevalue("patience")
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database(f"test_{next(_numbers)}", request.getfixturevalue("migrated"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'heddle.db'}"
    request.getfixturevalue("patience")
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database(f"empty_{next(_numbers)}")


@pytest.fixture
async def bell() -> Doorbell:
    return Doorbell()


@pytest.fixture
async def database(database_url: str, bell: Doorbell) -> AsyncIterator[Database]:
    opened = Database(database_url, bell)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
async def scheduler(worker: FakeWorker, tmp_path: Path) -> AsyncIterator[Scheduler]:
    """A scheduler on SQLite with the fake worker."""
    async with serving_fake(worker) as address, scheduling(address, tmp_path) as running:
        yield running
