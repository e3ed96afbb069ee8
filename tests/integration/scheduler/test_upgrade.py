"""A database of an older release, with an active run."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from heddle import pb
from heddle.names import RunName
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.policy.snapshot import WorkerView
from scheduler_svc.store.db import migrate
from scheduler_svc.store.db.engine import WRITES, open_engine
from scheduler_svc.store.db.tables import metadata
from scheduler_svc.store.outcomes.session_ingest import Batch, ingest
from tests.chaos.core import Core
from tests.support.postgres import Postgres
from tests.support.scheduler import make_plan, scheduling, serving_fake

RUN = RunName("old")
WORKER = WorkerView("local", 8)


def all_revisions() -> list[str]:
    """Returns every schema revision, newest first."""
    config = Config()
    config.set_main_option("script_location", str(migrate._SCRIPTS))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]


def revisions() -> list[str]:
    """Returns every schema revision before the newest, oldest first."""
    return all_revisions()[:0:-1]


def begin_run(url: str) -> None:
    """Creates a run with one accepted task, a running one and pending ones."""
    migrate.migrate(engine := open_engine(url))
    engine.dispose()
    core = Core(url)
    plan = make_plan({"a": ["one", "two"], "b": ["one", "two"]}, agent="scripted")
    core.create(RUN, plan, WORKER.name, max_parallel=2)
    core.tick([WORKER])
    core.tick([WORKER])
    core.write(core.end(min(core.processes), pb.OUTCOME_SUCCEEDED))
    (running,) = core.processes
    started = pb.Event(sequence=1, session_started=pb.SessionStarted(agent="scripted", process_id=1))
    core.write(lambda connection: ingest(connection, [Batch(running, [started], core.now)]))
    core.close()


def copy_back(newest: str, url: str, revision: str) -> None:
    """Copies a database of the newest schema into an empty one of an older schema, without unknown columns."""
    with ExitStack() as stack:
        # Also after an error: an open connection would fail the tests that follow.
        source, target = open_engine(newest), open_engine(url)
        stack.callback(source.dispose)
        stack.callback(target.dispose)
        migrate.migrate(target, revision)
        old = sa.MetaData()
        old.reflect(target)
        reading = stack.enter_context(source.connect())
        stack.enter_context(reading.begin())
        writing = stack.enter_context(target.connect())
        writing.execution_options(**{WRITES: True})
        with writing.begin():
            writing.execute(sa.delete(old.tables["leadership"]))
            for table in metadata.sorted_tables:
                rows = [row._asdict() for row in reading.execute(sa.select(table))]
                known = old.tables.get(table.name)
                if rows and known is not None:
                    # PostgreSQL fills in the day of a row itself.
                    names = {column.name for column in known.columns} & rows[0].keys()
                    writing.execute(sa.insert(known), [{name: row[name] for name in names} for row in rows])


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of the newest schema with an active run, which tests only read."""
    url = f"sqlite:///{tmp_path_factory.mktemp('newest') / 'heddle.db'}"
    begin_run(url)
    return url


@pytest.mark.parametrize("revision", revisions())
async def test_run_of_an_older_release_goes_on(
    revision: str, newest: str, empty_database_url: str, tmp_path: Path
) -> None:
    """The new scheduler migrates, continues after the accepted task and ends the run; its log has no gap."""
    copy_back(newest, empty_database_url, revision)
    worker = FakeWorker()
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, empty_database_url) as scheduler,
    ):
        events = await scheduler.finished(str(RUN))
        tasks = await scheduler.tasks(str(RUN))
        ended = await scheduler.run(str(RUN))
    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    # The worker does not know the running session, so only its task is tried again.
    assert sorted(task.attempt_count for task in tasks.values()) == [1, 1, 1, 2]
    assert {task.state for task in tasks.values()} == {pb.TASK_STATE_ACCEPTED}


def test_a_migration_may_pause_for_a_minute(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a migration runs, PostgreSQL waits longer for its next statement than for that of a writer."""
    limits: list[object] = []
    upgrade = command.upgrade

    def noting(config: Config, revision: str) -> None:
        connection: sa.Connection = config.attributes["connection"]
        limits.append(connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar())
        upgrade(config, revision)

    monkeypatch.setattr(command, "upgrade", noting)
    engine = open_engine(postgres.new_database("slow_migration"))
    migrate.migrate(engine)
    engine.dispose()
    assert limits == ["1min"]


def test_the_newest_schema_is_recognized() -> None:
    """A start compares the database with Alembic's own newest revision, which it finds without Alembic."""
    assert migrate.newest() == all_revisions()[0]
