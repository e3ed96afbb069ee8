"""Long histories: running totals, pages of large runs, and old rows that go."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, RunName
from scheduler_svc.api.run_stream import _read_page
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.model.sessions.usage import total
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.store.db import partitions
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.engine import WRITES, is_sqlite, open_engine
from scheduler_svc.store.db.events import read_events
from scheduler_svc.store.db.migrate import migrate
from scheduler_svc.store.db.tables import (
    attempts,
    audit,
    epics,
    project_totals,
    requests,
    run_events,
    runs,
    session_chunks,
)
from scheduler_svc.store.outcomes import attempt_outcomes, parked_sessions
from scheduler_svc.store.outcomes.session_ingest import Batch, ingest
from scheduler_svc.store.queries.resources import get_run
from scheduler_svc.store.queries.session_log import read_tail
from scheduler_svc.store.queries.snapshot_query import observe
from scheduler_svc.store.queries.spending import project_costs
from scheduler_svc.store.rows.retention import log_retention
from tests.support.scheduler import make_plan

RUN = RunName("long")
PROJECT = "/repository"
DAY = 86_400_000_000


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, Doorbell())
    await opened.open()
    yield opened
    await opened.close()


def create(connection: sa.Connection, name: RunName, plan: pb.Plan, now: int = 1) -> None:
    base = _Base("local", PROJECT, "c0ffee", "main", 8)
    _write(connection, name, pb.CreateRunRequest(plan=plan), base, actor="user:ada", now=now)


def report(connection: sa.Connection, attempt: AttemptName, cost: int, now: int = 5) -> None:
    usage = pb.Usage(cost_usd_micros=cost, input_tokens=cost * 10, model="m")
    ingest(connection, [Batch(attempt, [pb.Event(sequence=1, usage=usage)], now)])


def end(connection: sa.Connection, attempt: AttemptName, how: str) -> None:
    match how:
        case "accept":
            committed = pb.CommitTaskResponse(commit="abc")
            attempt_outcomes.accept(connection, attempt, committed, 9)
        case "fail":
            result = pb.SessionFinished(outcome=pb.OUTCOME_FAILED)
            kept = pb.DiscardAttemptResponse()
            attempt_outcomes.fail(connection, attempt, result, kept, should_retry=lambda *_: False, now=9)
        case "park":
            parked_sessions.park(connection, attempt, "waits", 9)


def sums(connection: sa.Connection) -> tuple[dict[str, pb.UsageTotals], int]:
    """Returns the usage by epic and the cost of a project, summed over all attempts."""
    by_epic: dict[str, list[pb.UsageTotals]] = {}
    cost = 0
    for row in connection.execute(sa.select(attempts)):
        by_epic.setdefault(row.epic, []).append(pb.UsageTotals.FromString(row.usage))
        cost += row.cost_micros
    return {epic: total(parts) for epic, parts in by_epic.items()}, cost


async def test_totals_are_the_sums_of_the_attempts(database: Database) -> None:
    """However attempts end, the totals of epic, run and project are what all attempts have used, live ones included."""
    plan = make_plan({"a": ["one", "two"], "b": ["one"], "c": ["one"], "d": ["one"]})
    ends = {"a": "accept", "b": "fail", "c": "park", "d": ""}
    await database.submit(partial(create, name=RUN, plan=plan))
    for place, (epic, how) in enumerate(ends.items(), 1):
        attempt = AttemptName(RUN.run, epic, "one", 1)
        await database.submit(partial(act, action=StartTask(attempt), now=2))
        await database.submit(partial(report, attempt=attempt, cost=place * 100))
        await database.submit(partial(end, attempt=attempt, how=how))
    second = AttemptName(RUN.run, "a", "two", 1)
    await database.submit(partial(act, action=StartTask(second), now=3))
    await database.submit(partial(report, attempt=second, cost=7))
    await database.submit(partial(end, attempt=second, how="accept"))

    def check(connection: sa.Connection) -> None:
        expected, cost = sums(connection)
        page = _read_page(connection, RUN, 0, is_first=True)
        assert {each.key: each.usage for each in page.epics} == expected
        assert page.run.usage == get_run(connection, RUN).usage == total(expected.values())
        spent, typical = project_costs(connection, [PROJECT])
        assert spent == {PROJECT: cost} == {PROJECT: 1007}
        assert typical == {PROJECT: round((100 + 7) / 2)}
        assert observe(connection, (), project_budget=5_000).runs[0].project_spent == cost

    await database.read(check)


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[str]]:
    """Collects the statements that the engine executes inside the block."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            found.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("part", ["first", "next"])
async def test_a_watchers_page_takes_three_statements(database: Database, part: str) -> None:
    """A page of a run of 500 epics takes three statements and reads no plan, whether it is the first or a later one."""
    plan = make_plan({f"e{number:03}": ["one", "two"] for number in range(500)})
    await database.submit(partial(create, name=RUN, plan=plan))
    changed = AttemptName(RUN.run, "e042", "one", 1)
    await database.submit(partial(act, action=StartTask(changed), now=2))
    newest = (await database.read(partial(get_run, name=RUN))).sequence
    after = 0 if part == "first" else newest - 1

    with statements(database.engine) as executed:
        page = await database.read(partial(_read_page, name=RUN, after=after, is_first=part == "first"))

    assert len(executed) <= 3
    assert not [each for each in executed if "runs.plan" in each or "project_file" in each]
    assert page.run.tasks == pb.TaskCounts(total=1000, running=1, pending=999)
    assert page.run.epic_count == 500
    if part == "first":
        assert [each.key for each in page.epics] == [epic.key for epic in plan.epics]
        assert len(page.tasks) == 1000
    else:
        assert [each.key for each in page.epics] == ["e042"]
        assert page.epics[0].tasks == pb.TaskCounts(total=2, running=1, pending=1)
        assert [(each.key, each.latest_attempt.state) for each in page.tasks] == [
            ("one", pb.ATTEMPT_STATE_STARTING)
        ]


def log_sizes(connection: sa.Connection) -> tuple[int, int]:
    chosen = (sa.select(sa.func.count()).select_from(table) for table in (run_events, session_chunks))
    events, chunks = (connection.execute(each).scalar_one() for each in chosen)
    return events, chunks


def age(connection: sa.Connection, days: int) -> None:
    """Makes everything that was written so far look as if it had been written days ago."""
    for table in partitions.TABLES:
        # Empty, and in the way of the older day.
        (before,) = (each for each in partitions.existing(connection, table) if each.first is None)
        partitions.drop(connection, before)
        today = connection.execute(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
        old = today - timedelta(days=days)
        partitions._create(connection, table, old)
        connection.execute(sa.text(f"UPDATE {table} SET day = '{old}'"))  # noqa: S608 (a constant and a date)


async def test_whole_days_of_expired_logs_go(database: Database) -> None:
    """On PostgreSQL, a day's partition goes once no log in it is kept; until then, nothing in it is lost."""
    if is_sqlite(database.engine):
        pytest.skip("SQLite has no partitions")
    today: date = await database.read(
        lambda connection: connection.execute(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    )
    now = (today - date(1970, 1, 1)).days * DAY
    then = now - 100 * DAY
    other = RunName("other")
    for name in (RUN, other):
        await database.submit(partial(create, name=name, plan=make_plan({"a": ["one"]}), now=then))
        attempt = AttemptName(name.run, "a", "one", 1)
        await database.submit(partial(act, action=StartTask(attempt), now=then))
        await database.submit(partial(report, attempt=attempt, cost=1, now=then))
    await database.submit(partial(age, days=100))
    sizes = await database.read(log_sizes)
    assert min(sizes) > 0

    def finish(connection: sa.Connection, run: RunName) -> None:
        connection.execute(sa.update(runs).where(runs.c.run == run.run).values(ended_at=then + 1))
        assert log_retention.mark_expired(connection, run, now, now)

    async def drop() -> set[str]:
        unused = await database.read(partial(partitions.unused, audit_before=now - 200 * DAY))
        for each in unused:
            await database.maintain(partial(partitions.drop, partition=each))
        return {each.table for each in unused if each.first}

    await database.submit(partial(finish, run=RUN))
    assert await database.read(partial(log_retention.expired, before=now)) == []
    assert await drop() == set()
    assert await database.read(log_sizes) == sizes
    # The other run keeps the day; an operator can remove the expired log at once.
    await database.maintain(partial(log_retention.prune_logs, run=RUN))
    await database.maintain(partial(log_retention.prune_logs, run=other))
    assert await database.read(log_sizes) == (sizes[0] // 2, sizes[1] // 2)
    read = partial(read_events, run=other.run, after=0, limit=100, max_bytes=1 << 20)
    assert len(await database.read(read)) == sizes[0] // 2

    await database.submit(partial(finish, run=other))
    assert await drop() == {"run_events", "session_chunks"}
    assert await database.read(log_sizes) == (0, 0)
    # New rows have their place.
    await database.maintain(partitions.ensure)
    await database.submit(partial(create, name=RunName("new"), plan=make_plan({"a": ["one"]}), now=now))
    assert (await database.read(log_sizes))[0] > 0


async def test_old_results_go(database: Database) -> None:
    """Results of requests are removed a part at a time once they are old enough; younger ones stay."""

    def fill(connection: sa.Connection) -> None:
        rows = [
            {"request_id": f"r{age}", "hash": b"", "resource": "", "created_at": age} for age in range(1_200)
        ]
        connection.execute(sa.insert(requests), rows)

    await database.submit(fill)
    while await database.maintain(partial(log_retention.forget_results, before=1_100)):
        pass
    chosen = sa.select(sa.func.min(requests.c.created_at), sa.func.count())
    kept = await database.read(lambda connection: tuple(connection.execute(chosen).one()))
    assert kept == (1_100, 100)


def fill_old_schema(connection: sa.Connection) -> None:
    """Writes a run that has ended, its logs and an audit entry, as the release before did."""
    usage = pb.UsageTotals(cost_usd_micros=70, input_tokens=5)
    usage.models.add(model="m", usage=pb.UsageTotals(cost_usd_micros=70, input_tokens=5))
    chunk = pb.WatchSessionResponse(events=[pb.Event(sequence=1, output=pb.Output(text="hello"))])
    values: dict[str, Any] = {
        "none": b"",
        "usage": usage.SerializeToString(),
        "event": pb.Event(run="runs/long", sequence=1, run_started=pb.RunStarted()).SerializeToString(),
        "chunk": chunk.SerializeToString(),
        "at": 1_000_000,
        "failed": pb.ATTEMPT_STATE_FAILED,
        "accepted": pb.ATTEMPT_STATE_ACCEPTED,
    }
    for statement in (
        (
            "INSERT INTO runs (run, title, state, project, base_ref, base_commit, merge_into, max_parallel,"
            " worker, plan, created_at, started_at, ended_at, sequence)"
            " VALUES ('long', '', 4, '/repository', '', '', '', 1, '', :none, :at, :at, :at, 1)"
        ),
        "INSERT INTO epics (run, epic, place, state, priority, on_failure, spec) VALUES ('long', 'a', 0, 6, 1, 1, :none)",
        "INSERT INTO tasks (run, epic, task, position, state, spec) VALUES ('long', 'a', 'one', 1, 4, :none)",
        (
            "INSERT INTO attempts (run, epic, task, number, state, worker, agent, started_at, ended_at, summary,"
            " usage, record, cost_micros, session_sequence) VALUES"
            " ('long', 'a', 'one', 1, :failed, '', '', :at, :at, :none, :usage, :none, 70, 1),"
            " ('long', 'a', 'one', 2, :accepted, '', '', :at, :at, :none, :usage, :none, 70, 1)"
        ),
        "INSERT INTO run_events (run, sequence, event) VALUES ('long', 1, :event)",
        (
            "INSERT INTO session_chunks (run, epic, task, number, first_sequence, last_sequence, events)"
            " VALUES ('long', 'a', 'one', 2, 1, 1, :chunk)"
        ),
        (
            'INSERT INTO audit (at, "user", method, resource, request_id, peer, refusal)'
            " VALUES (:at, 'user:ada', 'CreateRun', '', '', '', '')"
        ),
    ):
        text = sa.text(statement)
        names = text.compile().params
        connection.execute(text, {name: values[name] for name in names})


async def test_a_history_of_the_release_before_is_carried_over(empty_database_url: str) -> None:
    """After the migration, logs and audit entries are still read, totals are filled in, and new rows can be added."""
    engine = open_engine(empty_database_url)
    migrate(engine, "0023")
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            fill_old_schema(connection)
    engine.dispose()
    opened = Database(empty_database_url, Doorbell())
    await opened.open()
    try:

        def check(connection: sa.Connection) -> None:
            run = get_run(connection, RUN)
            assert (run.usage.cost_usd_micros, run.usage.input_tokens) == (140, 10)
            assert [each.model for each in run.usage.models] == ["m"]
            (epic,) = connection.execute(sa.select(epics.c.usage)).scalars()
            assert pb.UsageTotals.FromString(epic) == run.usage
            (project,) = connection.execute(sa.select(project_totals))
            assert tuple(project) == (PROJECT, 140, 70, 1)
            (found,) = read_events(connection, RUN.run, 0, 10, 1 << 20)
            assert (found.sequence, found.HasField("run_started")) == (1, True)
            tail = read_tail(connection, AttemptName("long", "a", "one", 2), 0)
            assert [each.output.text for each in tail.events] == ["hello"]
            assert connection.execute(sa.select(audit.c.user)).scalars().all() == ["user:ada"]
            assert log_retention.expired(connection, 2_000_000) == [RUN]

        await opened.read(check)
        await opened.submit(partial(create, name=RunName("new"), plan=make_plan({"a": ["one"]})))
        entry = {
            "at": 5,
            "user": "user:bob",
            "method": "m",
            "resource": "",
            "request_id": "",
            "peer": "",
            "refusal": "",
        }
        await opened.submit(lambda connection: connection.execute(sa.insert(audit), entry).close())
        sequences = await opened.read(
            lambda connection: (
                connection.execute(sa.select(audit.c.sequence).order_by(audit.c.sequence)).scalars().all()
            )
        )
        assert sequences == [1, 2]
    finally:
        await opened.close()


async def test_removed_logs_are_reported_as_removed(database: Database) -> None:
    """A reader of a log that was removed receives SEQUENCE_OUT_OF_RANGE, which names the oldest number."""
    await database.submit(partial(create, name=RUN, plan=make_plan({"a": ["one"]})))

    def expire(connection: sa.Connection) -> None:
        connection.execute(sa.update(runs).values(ended_at=5))
        assert log_retention.mark_expired(connection, RUN, 10, 10)

    await database.submit(expire)
    while await database.maintain(partial(log_retention.prune_logs, run=RUN)):
        pass
    with pytest.raises(HeddleError) as caught:
        await database.read(partial(_read_page, name=RUN, after=0, is_first=True))
    assert caught.value.reason == pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE
