"""Batches of session events a second that the scheduler stores, with a network before its database.

All waiting batches of a transaction share their statements (`Grouped`); the alternative, in the same
run, has each batch make its own statements in the shared transaction, as the scheduler did before.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.tables import attempts, session_chunks
from scheduler_svc.store.db.writer import Grouped, Work
from scheduler_svc.store.outcomes.session_ingest import Batch, ingest
from tests.bench.link import slow_link
from tests.bench.subjects import event_kinds
from tests.bench.table import Table, milliseconds
from tests.support.postgres import at, running_postgres
from tests.support.scheduler import make_plan

SESSIONS: Final = 500
ROUNDS: Final = 3

# Seconds of each measurement.
TAKES: Final = 4.0

# Milliseconds that the network adds to a round trip, and the aim in batches a second.
AIMS: Final[dict[float, int | None]] = {0: None, 1: 5_000, 3: 3_500}


def _ingest_alone(connection: sa.Connection, batch: Batch) -> Any:
    """Sends each statement of a batch by itself and waits for its result, as the scheduler did before."""
    pipeline.flush(connection)
    queue = connection.info.pop(pipeline._QUEUE)
    try:
        return ingest(connection, [batch])[0]
    finally:
        connection.info[pipeline._QUEUE] = queue


WAYS: Final[dict[str, Callable[[Batch], Work[Any]]]] = {
    "together": lambda batch: Grouped(ingest, batch),
    "each batch": lambda batch: partial(_ingest_alone, batch=batch),
}


async def run() -> Table:
    """Measures SQLite, and PostgreSQL at each delay; takes about two minutes."""
    rows = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running_postgres(folder / "postgres", durable=True))
        rows.append(await _measure("SQLite, full sync", f"sqlite:///{folder / 'heddle.db'}", None))
        for delay, aim in AIMS.items():
            link = await stack.enter_async_context(slow_link(server.socket, delay))
            url = at(server.new_database(f"delay_{delay:g}"), link)
            rows.append(await _measure(f"PostgreSQL, {delay:g} ms added", url, aim))
    return Table(
        "Ingest",
        f"{SESSIONS} sessions, each with one batch of one event that waits to be stored; batches a second, the "
        f"median of {ROUNDS} rounds of {TAKES:g} s, alternating. Each batch: with its own statements in the shared "
        "transaction.",
        ("database", "round trip, ms", "each batch", "together", "ratio", "aim"),
        rows,
    )


async def _measure(name: str, url: str, aim: int | None) -> tuple[str, ...]:
    database = Database(url, Doorbell())
    await database.open()
    try:
        trip = await asyncio.to_thread(_round_trip, database.engine)
        sessions = [_Session(attempt) for attempt in await _start_sessions(database)]
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, made in WAYS.items():
                rates[way].append(await _rate(database, sessions, made))
        await _check(database, sessions)
    finally:
        await database.close()
    each, together = (statistics.median(rates[way]) for way in ("each batch", "together"))
    return (
        name,
        milliseconds(trip),
        f"{each:,.0f}",
        f"{together:,.0f}",
        f"{together / each:.1f} x",
        f"≥ {aim:,}" if aim else "",
    )


def _round_trip(engine: sa.Engine) -> float:
    """Returns the median seconds of an empty statement."""
    took = []
    with engine.connect() as connection:
        for _ in range(100):
            began = time.perf_counter()
            connection.exec_driver_sql("SELECT 1")
            took.append(time.perf_counter() - began)
    return statistics.median(took)


async def _start_sessions(database: Database) -> Sequence[AttemptName]:
    run = RunName("bench")
    plan = make_plan({f"epic-{number}": ["task"] for number in range(SESSIONS)}, agent="scripted")
    base = _Base("local", "/repository", "c0ffee", "main", SESSIONS)
    names = [run.epic(epic.key).task("task").attempt(1) for epic in plan.epics]

    def start(connection: sa.Connection) -> None:
        _write(connection, run, pb.CreateRunRequest(plan=plan), base, actor="bench", now=1)
        for name in names:
            act(connection, StartTask(name), 1)

    await database.submit(start)
    return names


class _Session:
    """A session that always has the next batch ready."""

    def __init__(self, name: AttemptName) -> None:
        self.name = name
        self.sent = 0
        self._kinds = event_kinds()

    def batch(self) -> Batch:
        self.sent += 1
        event = pb.Event(sequence=self.sent)
        event.MergeFrom(next(self._kinds))
        event.time.FromMicroseconds(self.sent)
        return Batch(self.name, [event], self.sent)


async def _rate(
    database: Database, sessions: Sequence[_Session], made: Callable[[Batch], Work[Any]]
) -> float:
    """Returns the batches a second."""
    end = time.perf_counter() + TAKES

    async def drive(session: _Session) -> int:
        count = 0
        while time.perf_counter() < end:
            await database.submit(made(session.batch()), str(session.name))
            count += 1
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*map(drive, sessions))
    return sum(counts) / (time.perf_counter() - began)


async def _check(database: Database, sessions: Sequence[_Session]) -> None:
    """Raises RuntimeError if not every batch is stored once."""
    sent = sum(session.sent for session in sessions)
    stored = await database.read(
        lambda connection: (
            connection.execute(sa.select(sa.func.count()).select_from(session_chunks)).scalar_one(),
            connection.execute(sa.select(sa.func.sum(attempts.c.session_sequence))).scalar_one(),
        )
    )
    if tuple(map(int, stored)) != (sent, sent):
        raise RuntimeError(f"{sent} batches were sent, {stored} are stored")
