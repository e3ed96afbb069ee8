"""Many sessions' batches in one transaction: few statements, and each event exactly once whatever breaks."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, RunName
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.events import read_events
from scheduler_svc.store.db.leadership import _next_epoch, check_epoch
from scheduler_svc.store.db.tables import attempts, runs, session_chunks, tasks
from scheduler_svc.store.db.writer import Grouped, Guard
from scheduler_svc.store.outcomes.session_ingest import Batch, ingest
from tests.support.postgres import Postgres, at
from tests.support.proxy import Proxy
from tests.support.scheduler import make_plan

RUNS = (RunName("one"), RunName("two"))
SESSIONS = 20
BATCHES = 12

NAMES = [run.epic(f"epic-{number}").task("task").attempt(1) for run in RUNS for number in range(SESSIONS)]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Opens an empty database and begins sessions of two runs in it."""
    database = Database(url, Doorbell())
    await database.open()
    try:
        await database.submit(start_sessions)
        yield database
    finally:
        await database.close()


def start_sessions(connection: sa.Connection) -> None:
    plan = make_plan({f"epic-{number}": ["task"] for number in range(SESSIONS)}, agent="scripted")
    base = _Base("local", "/repository", "c0ffee", "main", SESSIONS)
    for run in RUNS:
        _write(connection, run, pb.CreateRunRequest(plan=plan), base, actor="user:ada", now=1)
    for name in NAMES:
        act(connection, StartTask(name), 2)
    _next_epoch(connection, above=0)


def batch(name: AttemptName, number: int) -> Batch:
    """Returns the batch of this number, from 1: three events, of which one is copied to the run's log."""
    first = number * 3 - 2
    if number == BATCHES:
        last = pb.Event(session_finished=pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED, reason=str(name)))
    else:
        asked = pb.ApprovalRequested(approval_id=str(number), question="May I?")
        last = pb.Event(approval_requested=asked) if number % 2 else resolved(number - 1)
    events = [
        pb.Event(output=pb.Output(text=f"{number} of {name}\n")),
        pb.Event(tool_started=pb.ToolStarted(tool_call_id=str(number), name="Bash")),
        last,
    ]
    for place, each in enumerate(events):
        each.sequence = first + place
        each.time.FromMicroseconds(number)
    return Batch(name, events, number)


def resolved(asked: int) -> pb.Event:
    return pb.Event(approval_resolved=pb.ApprovalResolved(approval_id=str(asked), approved=True))


async def as_one_group(
    database: Database, work: Sequence[Any], guard: Callable[[int], Guard | None] = lambda _: None
) -> list[Any]:
    """Submits work while the writer is busy, so that all of it is in its next transaction; returns the outcomes."""
    busy, free = threading.Event(), threading.Event()

    def occupy(_: sa.Connection) -> None:
        busy.set()
        free.wait(60)

    occupied = asyncio.ensure_future(database.submit(occupy))
    assert await asyncio.to_thread(busy.wait, 60)
    submitted = [
        asyncio.ensure_future(database.submit(each, guard=guard(place))) for place, each in enumerate(work)
    ]
    await asyncio.sleep(0)
    free.set()
    await occupied
    return await asyncio.gather(*submitted, return_exceptions=True)


def stored(connection: sa.Connection) -> dict[AttemptName, list[pb.Event]]:
    """Returns each session's log from its chunks, after a check that its row says the same."""
    logs: dict[AttemptName, list[pb.Event]] = {name: [] for name in NAMES}
    order = (*session_chunks.primary_key.columns,)
    for row in connection.execute(sa.select(session_chunks).order_by(*order)):
        name = AttemptName(row.run, row.epic, row.task, row.number)
        logs[name] += pb.WatchSessionResponse.FromString(row.events).events
        assert logs[name][-1].sequence == row.last_sequence
    for row in connection.execute(sa.select(attempts)):
        name = AttemptName(row.run, row.epic, row.task, row.number)
        assert row.session_sequence == len(logs[name])
    return logs


def check_all(connection: sa.Connection) -> None:
    """Checks that every event of every batch is stored once, in the session's log and in the run's."""
    for log in stored(connection).values():
        assert [each.sequence for each in log] == list(range(1, BATCHES * 3 + 1))
    for run in RUNS:
        events = read_events(connection, run.run, 0, 10_000, 1 << 30)
        assert [each.sequence for each in events] == list(range(1, len(events) + 1))
        count = sa.select(runs.c.sequence).where(runs.c.run == run.run)
        assert connection.execute(count).scalar_one() == len(events)
        kinds = [each.WhichOneof("payload") for each in events]
        assert kinds.count("approval_requested") == SESSIONS * (BATCHES // 2)
        assert kinds.count("session_finished") == SESSIONS


async def test_all_waiting_batches_share_their_statements(database_url: str) -> None:
    """A transaction with forty batches of two runs has one statement more than one with a single batch."""
    counts = []
    async with opened(database_url) as database:
        for names in (NAMES[:1], NAMES[1:]):
            statements: list[str] = []

            def count(*arguments: Any, seen: list[str] = statements) -> None:
                seen.append(arguments[2])

            sa.event.listen(database.engine, "before_cursor_execute", count)
            work = [Grouped(ingest, started(name)) for name in names]
            assert await as_one_group(database, work) == [None] * len(names)
            sa.event.remove(database.engine, "before_cursor_execute", count)
            counts.append(len(statements))
        logs = await database.read(stored)
    # With several runs, their rows are locked before they are changed.
    assert counts[1] <= counts[0] + 1
    assert all(len(log) == 3 for log in logs.values())


def started(name: AttemptName) -> Batch:
    """Returns a first batch, which changes the attempt's state and is copied to the run's log."""
    events = [pb.Event(sequence=1, session_started=pb.SessionStarted(agent="scripted", process_id=1))]
    return Batch(
        name, [*events, *batch(name, 1).events[1:2], pb.Event(sequence=3, output=pb.Output(text="x"))], 1
    )


async def test_a_bad_batch_holds_up_no_other(database_url: str) -> None:
    """Batches with a gap before them fail alone, with their reason; the others of their group are stored."""
    async with opened(database_url) as database:
        bad = {NAMES[3], NAMES[25]}
        work = [Grouped(ingest, batch(name, 2 if name in bad else 1)) for name in NAMES]
        outcomes = await as_one_group(database, work)
        logs = await database.read(stored)
        for run in RUNS:
            events = await database.read(
                partial(read_events, run=run.run, after=0, limit=999, max_bytes=1 << 30)
            )
            assert [each.sequence for each in events] == list(range(1, len(events) + 1))
    for name, outcome in zip(NAMES, outcomes, strict=True):
        if name in bad:
            assert isinstance(outcome, HeddleError)
            assert "jumps from 0 to 4" in outcome.message
        assert len(logs[name]) == (0 if name in bad else 3)


async def test_batches_of_one_session_in_one_group_follow_each_other(database_url: str) -> None:
    """Several batches of a session, also repeated ones, are stored once and in order; the last has the result."""
    async with opened(database_url) as database:
        name = NAMES[0]
        numbers = [1, 2, 2, *range(3, BATCHES + 1), 1, BATCHES]
        outcomes = await as_one_group(database, [Grouped(ingest, batch(name, each)) for each in numbers])
        logs = await database.read(stored)
        waiting = sa.select(tasks.c.state).where(tasks.c.run == name.run, tasks.c.epic == name.epic)
        state = await database.read(lambda connection: connection.execute(waiting).scalar_one())
    assert [each.sequence for each in logs[name]] == list(range(1, BATCHES * 3 + 1))
    assert outcomes[:BATCHES] == [None] * BATCHES
    assert outcomes[-1].reason == str(name)
    assert state == pb.TASK_STATE_RUNNING


async def test_replaced_leader_stores_no_batch(database_url: str) -> None:
    """Each batch of a group under an old epoch is refused with STALE_EPOCH; those of the new leader are stored."""
    async with opened(database_url) as database:
        epoch = await database.submit(partial(_next_epoch, above=0))
        old, new = partial(check_epoch, epoch=epoch - 1), partial(check_epoch, epoch=epoch)
        work = [Grouped(ingest, batch(name, 1)) for name in NAMES]
        outcomes = await as_one_group(database, work, lambda place: new if place % 2 else old)
        logs = await database.read(stored)
    assert {outcome.reason for outcome in outcomes[::2]} == {pb.ERROR_REASON_STALE_EPOCH}
    assert outcomes[1::2] == [None] * (len(NAMES) // 2)
    assert [len(logs[name]) for name in NAMES] == [0, 3] * (len(NAMES) // 2)


async def drive(database: Database, name: AttemptName) -> pb.SessionFinished | None:
    """Stores a session's batches as its driver does: one after the other, each until it is stored."""
    result = None
    for number in range(1, BATCHES + 1):
        while True:
            try:
                result = await database.submit(Grouped(ingest, batch(name, number)))
                break
            except HeddleError as error:
                if error.reason != pb.ERROR_REASON_DATABASE_UNAVAILABLE:
                    raise
                await asyncio.sleep(0.01)  # the database has no event that says when it is back
    return result


async def test_cut_connections_lose_and_repeat_nothing(postgres: Postgres) -> None:
    """Connections that break anywhere in a group of pipelined statements leave every event stored exactly once."""
    url = postgres.new_database("ingest_cut")
    async with Proxy.to(postgres.socket, delay=0.001) as proxy, opened(at(url, proxy.address)) as database:
        done = asyncio.gather(*(drive(database, name) for name in NAMES))
        cuts = 0
        # Each is somewhere else in the messages of a group, which are some 20,000 bytes long.
        for sent in range(40, 60_000, 3_701):
            proxy.cut_after(sent)
            while proxy.will_cut and not done.done():  # noqa: ASYNC110 (the proxy has no event for it)
                await asyncio.sleep(0.002)
            cuts += not proxy.will_cut
        proxy.spare()
        results = await done
        await database.read(check_all)
    assert [result.reason for result in results if result] == list(map(str, NAMES))
    assert cuts > 1


async def test_commit_in_doubt_is_found_to_have_happened(postgres: Postgres) -> None:
    """A batch whose commit was never confirmed is sent again: it is not stored twice, and its session's result is returned."""
    url = postgres.new_database("ingest_doubt")
    async with Proxy.to(postgres.socket) as proxy, opened(at(url, proxy.address)) as database:
        for number in range(1, BATCHES):
            await as_one_group(database, [Grouped(ingest, batch(name, number)) for name in NAMES])
        last = [Grouped(ingest, batch(name, BATCHES)) for name in NAMES]
        proxy.cut_at_answer(b"COMMIT")
        outcomes = await asyncio.gather(*map(database.submit, last), return_exceptions=True)
        in_doubt = [each for each in outcomes if isinstance(each, HeddleError)]
        await database.read(check_all)
        results = await as_one_group(database, last)
        await database.read(check_all)
    assert {each.reason for each in in_doubt} == {pb.ERROR_REASON_DATABASE_UNAVAILABLE}
    assert [result.reason for result in results] == list(map(str, NAMES))
