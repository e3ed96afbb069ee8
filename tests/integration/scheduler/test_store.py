"""The guarantees of the store, tested on both kinds of database."""

import asyncio
import re
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, RunName
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.model.lifecycle.states import MergeState
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.store.db import partitions
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.events import append, event, read_events
from scheduler_svc.store.db.migrate import migrate
from scheduler_svc.store.db.tables import attempts, epics, metadata, runs, tasks
from scheduler_svc.store.db.writer import Grouped
from scheduler_svc.store.migrations.versions.v0003_budgets import fill_costs
from scheduler_svc.store.outcomes import attempt_outcomes, merge_outcomes, session_ingest
from scheduler_svc.store.outcomes.session_ingest import Batch
from scheduler_svc.store.queries import lists
from scheduler_svc.store.queries.resources import get_attempt, get_run, get_task
from scheduler_svc.store.queries.snapshot_query import observe
from scheduler_svc.store.queries.task_progress import read_stand
from scheduler_svc.store.rows.callers import requests
from tests.support.postgres import Postgres
from tests.support.scheduler import make_plan

RUN = RunName("sample")
ATTEMPT = AttemptName("sample", "a", "one", 1)


def write_run(connection: sa.Connection) -> None:
    request = pb.CreateRunRequest(plan=make_plan({"a": ["one", "two"], "b": ["one"]}, retries=1))
    _write(
        connection,
        RUN,
        request,
        _Base("local", "/repository", "c0ffee", "main", 4),
        actor="user:ada",
        now=1_000_000,
    )


async def start_attempt(database: Database) -> None:
    await database.submit(write_run)
    await database.submit(lambda connection: act(connection, StartTask(ATTEMPT), 2_000_000))


def output(sequence: int, text: str = "x\n") -> pb.Event:
    return pb.Event(sequence=sequence, output=pb.Output(text=text))


def never(*_: int) -> bool:
    return False


async def test_migrations_make_what_the_tables_say(database: Database) -> None:
    """Migrating an empty database to head gives exactly the schema of the tables; repeating changes nothing."""
    await asyncio.to_thread(migrate, database.engine)
    with database.engine.connect() as connection:
        options = {"include_object": is_in_tables} if connection.dialect.name == "postgresql" else {}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    assert not differences


def is_in_tables(part: Any, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
    """Returns whether part of PostgreSQL's schema is not there only to divide the logs by day."""
    divided = getattr(getattr(part, "table", None), "name", "") in partitions.TABLES
    if kind == "table":
        return not re.fullmatch(rf"({'|'.join(partitions.TABLES)})_(before_)?(\d+|default)", name or "")
    return not (divided and (kind == "foreign_key_constraint" or name == "day"))


async def test_what_attempts_have_cost_is_filled_in(database_url: str) -> None:
    """The cost of attempts from before budgets is computed from their usage, and counts towards budgets."""
    engine = open_engine(database_url)
    await asyncio.to_thread(migrate, engine)
    with engine.begin() as connection:
        for statement in (
            (
                "INSERT INTO runs (run, title, state, project, base_ref, base_commit, merge_into, max_parallel,"
                " worker, plan, created_at) VALUES ('r', '', 1, '', '', '', '', 1, '', :none, 0)"
            ),
            (
                "INSERT INTO epics (run, epic, place, state, priority, on_failure, spec)"
                " VALUES ('r', 'a', 0, 1, 1, 1, :none)"
            ),
            "INSERT INTO tasks (run, epic, task, position, state, spec) VALUES ('r', 'a', 't', 1, 1, :none)",
        ):
            connection.execute(sa.text(statement), {"none": b""})
        attempt = (
            "INSERT INTO attempts (run, epic, task, number, state, worker, agent, started_at, summary, usage,"
            " record) VALUES ('r', 'a', 't', 1, 1, '', '', 0, :none, :usage, :none)"
        )
        usage = pb.UsageTotals(cost_usd_micros=70).SerializeToString()
        connection.execute(sa.text(attempt), {"none": b"", "usage": usage})
        fill_costs(connection)
        assert connection.execute(sa.text("SELECT cost_micros FROM attempts")).scalar_one() == 70
    engine.dispose()


async def test_replicas_that_start_together_migrate_once(empty_database_url: str) -> None:
    """Several processes may migrate an empty database to head at the same time."""
    engines = [open_engine(empty_database_url) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(migrate, engine) for engine in engines))
    with engines[0].connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM leadership")).scalar_one() == 1
    for engine in engines:
        engine.dispose()


async def test_neighbours_of_a_failing_write_are_committed(database: Database) -> None:
    """Writes that share a transaction fail individually: a failed one is rolled back, the others commit."""

    def write(key: str, fails: bool) -> Any:
        def work(connection: sa.Connection) -> str:
            write_run(connection)
            connection.execute(sa.update(runs).values(run=runs.c.run).where(runs.c.run == key))
            if fails:
                raise KeyError(key)
            return key

        return work

    blocker = database.submit(lambda _: None)
    outcomes = await asyncio.gather(
        blocker,
        database.submit(lambda _: "first"),
        database.submit(write("sample", fails=True)),
        database.submit(write_run),
        database.submit(write_run),
        return_exceptions=True,
    )

    assert outcomes[1] == "first"
    assert isinstance(outcomes[2], KeyError)
    assert outcomes[3] is None
    assert isinstance(outcomes[4], sa.exc.IntegrityError)
    run = await database.read(lambda connection: get_run(connection, RUN))
    assert run.sequence == 3


async def test_events_are_numbered_without_gaps(database: Database) -> None:
    """Sequence numbers of failed transactions are reused: many concurrent writers leave exactly 1..n."""
    await database.submit(write_run)

    def add(fails: bool) -> Any:
        def work(connection: sa.Connection) -> None:
            append(connection, [event(RUN, "user", run_paused=pb.RunPaused())] * 1, 5)
            append(connection, [event(RUN, "user", run_resumed=pb.RunResumed())], 5)
            if fails:
                raise ValueError

        return work

    await asyncio.gather(
        *(database.submit(add(fails=number % 3 == 0)) for number in range(30)), return_exceptions=True
    )

    events = await database.read(lambda connection: read_events(connection, "sample", 0, 1000, 1 << 20))
    assert [each.sequence for each in events] == list(range(1, 3 + 40 + 1))
    assert (await database.read(lambda connection: get_run(connection, RUN))).sequence == 43


async def test_committed_write_rings(database: Database, bell: Doorbell) -> None:
    """A listener is notified of a commit, and never of a failed write."""

    def fail(_: sa.Connection) -> None:
        raise ValueError("on purpose")

    with bell.listen("runs/sample", "runs/other") as listener:
        with pytest.raises(ValueError, match="on purpose"):
            await database.submit(fail, "runs/other")
        await database.submit(write_run, "runs/sample")
        assert await listener.wait(5) == {"runs/sample"}


async def test_session_events_are_taken_in_once(database: Database) -> None:
    """A batch that is sent again, in whole or in part, adds nothing; one that would leave a gap is refused."""
    await start_attempt(database)

    def ingest(*sequences: int) -> Grouped[Batch, Any]:
        events = [output(sequence) for sequence in sequences]
        return Grouped(session_ingest.ingest, Batch(ATTEMPT, events, 3))

    await database.submit(ingest(1, 2, 3))
    await database.submit(ingest(1, 2, 3))
    await database.submit(ingest(3, 4))
    with pytest.raises(HeddleError, match="jumps from 4 to 6"):
        await database.submit(ingest(6))

    attempt = await database.read(lambda connection: get_attempt(connection, ATTEMPT))
    assert attempt.session_sequence == 4


async def test_the_dearest_turn_of_a_session_is_remembered(database: Database) -> None:
    """The most expensive usage report counts, in whichever batch it came: budgets reserve that much."""
    await start_attempt(database)
    for sequence, cost in enumerate((30, 70, 20), start=1):
        said = pb.Event(sequence=sequence, usage=pb.Usage(cost_usd_micros=cost))
        await database.submit(Grouped(session_ingest.ingest, Batch(ATTEMPT, [said], 3)))

    turn = sa.select(attempts.c.turn_micros)
    assert await database.read(lambda connection: connection.execute(turn).scalar_one()) == 70


@pytest.mark.parametrize(("checked", "tested"), [("one", False), ("two", True)])
async def test_an_epic_is_tested_as_its_last_accepted_task_was(
    database: Database, checked: str, *, tested: bool
) -> None:
    """Only the checks of the last accepted task say whether the merge's checks have passed on the epic."""
    check = pb.Check(run="make test")
    plan = make_plan({"a": ["one", "two", "three"]})
    next(task for task in plan.epics[0].tasks if task.key == checked).checks.append(check)
    base = _Base("local", "/repository", "c0ffee", "main", 4)
    request = pb.CreateRunRequest(plan=plan)
    await database.submit(lambda connection: _write(connection, RUN, request, base, actor="user:ada", now=1))

    def change(connection: sa.Connection) -> None:
        encoded = pb.MergeChecks(checks=[check]).SerializeToString()
        connection.execute(sa.update(runs).values(merge_checks=encoded))
        connection.execute(sa.update(epics).values(merge_state=MergeState.MERGING))
        accepted = sa.update(tasks).values(state=pb.TASK_STATE_ACCEPTED)
        connection.execute(accepted.where(tasks.c.task != "three"))

    await database.submit(change)
    found = await database.read(partial(merge_outcomes.read_epic_merges, run=RUN))
    assert found is not None
    assert [source.tested for source in found[1]] == [tested]


async def test_attempt_is_accepted_at_most_once(database: Database) -> None:
    """A write after an attempt has ended, accepted or failed, changes nothing."""
    await start_attempt(database)
    committed = pb.CommitTaskResponse(commit="abc", diff_stat=pb.DiffStat(files=2))

    for _ in range(2):
        await database.submit(lambda connection: attempt_outcomes.accept(connection, ATTEMPT, committed, 9))
    result = pb.SessionFinished(outcome=pb.OUTCOME_FAILED)
    await database.submit(
        lambda connection: attempt_outcomes.fail(
            connection, ATTEMPT, result, pb.DiscardAttemptResponse(), should_retry=never, now=9
        )
    )

    task = await database.read(lambda connection: get_task(connection, ATTEMPT.parent))
    assert task.state == pb.TASK_STATE_ACCEPTED
    assert task.commit == "abc"
    assert task.latest_attempt.diff_stat.files == 2
    events = await database.read(lambda connection: read_events(connection, "sample", 0, 100, 1 << 20))
    ends = [each for each in events if each.WhichOneof("payload") in {"task_accepted", "task_failed"}]
    assert len(ends) == 1


async def test_attempt_starts_only_where_none_lives(database: Database) -> None:
    """A start writes nothing if the attempt already exists or its epic has another live attempt."""
    await start_attempt(database)
    for attempt in (ATTEMPT, AttemptName("sample", "a", "two", 1), AttemptName("sample", "b", "one", 2)):
        held = await database.submit(partial(act, action=StartTask(attempt), now=3))
        assert not held
    snapshot = await database.read(lambda connection: observe(connection, ()))
    live = [task.live_attempt for epic in snapshot.runs[0].epics for task in epic.tasks]
    assert live == [ATTEMPT, None, None]


async def test_failed_attempt_leaves_its_task_pending_for_the_next(database: Database) -> None:
    """A failure with a retry sets the task to pending; the snapshot counts the attempt and shows none live."""
    await start_attempt(database)
    result = pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="exit code 1")
    asked: list[tuple[int, ...]] = []

    def should_retry(*facts: int) -> bool:
        asked.append(facts)
        return True

    await database.submit(
        lambda connection: attempt_outcomes.fail(
            connection, ATTEMPT, result, pb.DiscardAttemptResponse(), should_retry=should_retry, now=9
        )
    )

    assert asked == [(pb.OUTCOME_FAILED, 1, 1, 0)]
    snapshot = await database.read(lambda connection: observe(connection, ()))
    task = snapshot.runs[0].epics[0].tasks[0]
    assert (task.state, task.attempts, task.live_attempt) == (pb.TASK_STATE_PENDING, 1, None)


async def test_a_failed_attempt_keeps_what_it_changed_and_asks_nothing(database: Database) -> None:
    """An attempt whose session was lost with an open question shows its kept changes, and no question any more."""
    await start_attempt(database)
    asked = pb.Event(sequence=1, approval_requested=pb.ApprovalRequested(approval_id="x", question="May I?"))
    await database.submit(Grouped(session_ingest.ingest, Batch(ATTEMPT, [asked], 3)))
    queue = partial(lists.list_approvals, request=pb.ListApprovalsRequest(), projects=())
    assert [each.approval_id for each in (await database.read(queue)).approvals] == ["x"]
    kept = pb.DiscardAttemptResponse(kept_ref="refs/kept", diff_stat=pb.DiffStat(files=2, insertions=3))
    lost = pb.SessionFinished(outcome=pb.OUTCOME_LOST)
    await database.submit(
        lambda connection: attempt_outcomes.fail(connection, ATTEMPT, lost, kept, should_retry=never, now=9)
    )
    attempt = await database.read(lambda connection: get_attempt(connection, ATTEMPT))
    assert (attempt.kept_ref, attempt.diff_stat.files, attempt.diff_stat.insertions) == ("refs/kept", 2, 3)
    assert not attempt.approvals
    assert not (await database.read(queue)).approvals


@pytest.mark.parametrize(("outcome", "paced"), [(pb.OUTCOME_FAILED, True), (pb.OUTCOME_INTERRUPTED, False)])
async def test_only_an_attempt_that_counts_delays_the_next(
    database: Database, outcome: "pb.Outcome.ValueType", paced: bool
) -> None:
    """After an attempt that failed at once, the next one waits a second; after an interruption it begins at once."""
    await start_attempt(database)
    await database.submit(
        lambda connection: attempt_outcomes.fail(
            connection,
            ATTEMPT,
            pb.SessionFinished(outcome=outcome),
            pb.DiscardAttemptResponse(),
            should_retry=lambda *_: True,
            now=2_500_000,
        )
    )
    events = await database.read(lambda connection: read_events(connection, "sample", 0, 100, 1 << 20))
    [failed] = [each.task_failed for each in events if each.HasField("task_failed")]
    assert failed.will_retry
    assert failed.HasField("retry_time") is paced
    assert failed.retry_time.ToMicroseconds() == (3_500_000 if paced else 0)


async def test_the_time_of_a_running_attempt_has_parts_of_seconds(database: Database) -> None:
    """An estimate of what is left subtracts the time since the attempt began, to the microsecond."""
    await start_attempt(database)
    stand = await database.read(partial(read_stand, name=RUN, now=3_500_001))
    assert [task.took for task in stand.tasks] == [1.500001, None, None]


async def test_request_is_recalled_with_its_resource(database: Database) -> None:
    """A repeated request_id returns its resource, or is refused for other content; an empty one is ignored."""
    request = pb.PauseRunRequest(name="runs/sample", request_id="r")
    await database.submit(lambda connection: requests.remember(connection, "r", request, RUN, 1))

    assert await database.read(lambda c: requests.recall(c, "r", request)) == "runs/sample"
    assert await database.read(lambda c: requests.recall(c, "", request)) is None
    other = pb.ResumeRunRequest(name="runs/sample", request_id="r")
    with pytest.raises(HeddleError) as caught:
        await database.read(lambda c: requests.recall(c, "r", other))
    assert caught.value.reason == pb.ERROR_REASON_REQUEST_ID_REUSED


async def test_closed_database_is_unavailable(database_url: str, bell: Doorbell) -> None:
    """A database that is not open raises DATABASE_UNAVAILABLE and never blocks."""
    database = Database(database_url, bell)
    for call in (database.read, database.submit):
        with pytest.raises(HeddleError) as caught:
            await call(lambda _: None)
        assert caught.value.reason == pb.ERROR_REASON_DATABASE_UNAVAILABLE
    await database.open()
    await database.close()
    await database.close()
    with pytest.raises(HeddleError):
        await database.submit(lambda _: None)


async def test_ring_reaches_other_replicas(postgres: Postgres) -> None:
    """A change that one replica commits wakes the listeners of another, over PostgreSQL."""
    url = postgres.new_database("rings")
    bell = Doorbell()
    writer, reader = Database(url, Doorbell()), Database(url, bell)
    await writer.open()
    await reader.open()
    try:
        with bell.listen("runs/sample") as listener:
            await writer.submit(write_run, "runs/sample")
            assert await listener.wait(10) == {"runs/sample"}
    finally:
        await writer.close()
        await reader.close()
