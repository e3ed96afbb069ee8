"""From a worker through three replicas to their clients, with many sessions, for some time.

HEDDLE_BENCH_SECONDS sets how long is measured: 30 if absent. With 600, growth of delay or memory shows.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import sqlalchemy as sa

from heddle import pb
from heddle.client import HeddleClient
from scheduler_svc.store.db.tables import attempts
from tests.bench.link import slow_link
from tests.bench.live_worker import live_worker
from tests.bench.table import Table, percentile
from tests.support.fleet import Fleet
from tests.support.postgres import at, running_postgres
from tests.support.scheduler import make_plan

SESSIONS: Final = 500
RUNS: Final = 5
EVENTS_A_MINUTE: Final = 100_000
REPLICAS: Final = 3
# Each watches a run and one of its sessions.
WATCHERS: Final = 20
# Milliseconds that the network adds to a round trip to the database.
DELAY: Final = 1.0

# Seconds.
MEASURED: Final = float(os.environ.get("HEDDLE_BENCH_SECONDS", "30"))

# Parts of the measured time, of which the first and the last are compared.
PARTS: Final = 3

_STORED: Final = sa.select(sa.func.sum(attempts.c.session_sequence))
_RUNNING: Final = sa.select(sa.func.count()).where(attempts.c.state == pb.ATTEMPT_STATE_RUNNING)


@dataclass
class _Seen:
    """What the clients have received during one part of the time."""

    # Seconds from an event to its client.
    delays: list[float] = field(default_factory=list)
    # At the end of the part.
    stored: int = 0
    # Bytes of all replicas.
    memory: int = 0
    # Processor seconds of each replica since it started.
    worked: list[float] = field(default_factory=list)


async def run() -> Table:
    """Measures PostgreSQL; takes HEDDLE_BENCH_SECONDS, and about half a minute to start."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running_postgres(folder / "postgres", durable=True))
        database = server.new_database("live")
        link = await stack.enter_async_context(slow_link(server.socket, DELAY))
        worker = await stack.enter_async_context(live_worker(SESSIONS, EVENTS_A_MINUTE / 60))
        settings = {
            "HEDDLE_DATABASE_URL": at(database, link),
            "HEDDLE_WORKERS": f"local={worker}+{worker}",
            "HEDDLE_LOG_LEVEL": "warning",
        }
        fleets = [Fleet(folder / str(number), settings) for number in range(REPLICAS)]
        for fleet in fleets:
            stack.callback(fleet.stop)
            await fleet.start("scheduler_svc")
        engine = sa.create_engine(database)
        stack.callback(engine.dispose)
        clients = [await stack.enter_async_context(fleet.client()) for fleet in fleets]
        names = await _start_sessions(clients[0], engine)
        parts, began = await _watch(
            clients, names, engine, [fleet.process_id("scheduler_svc") for fleet in fleets]
        )
    return _table(parts, began)


def _scalar(engine: sa.Engine, statement: sa.Select[int]) -> int:
    with engine.connect() as connection:
        return int(connection.execute(statement).scalar_one())


async def _start_sessions(client: HeddleClient, engine: sa.Engine) -> list[str]:
    """Returns the names of the runs once all their sessions run."""
    count = SESSIONS // RUNS
    names = []
    for _ in range(RUNS):
        plan = make_plan({f"epic-{number}": ["task"] for number in range(count)}, agent="scripted")
        request = pb.CreateRunRequest(plan=plan, project="/project", max_parallel=count)
        names.append((await client.create_run(request)).name)
    async with asyncio.timeout(300):
        while await asyncio.to_thread(_scalar, engine, _RUNNING) < SESSIONS:  # noqa: ASYNC110 (the database has no event for it)
            await asyncio.sleep(0.2)
    return names


async def _watch(
    clients: Sequence[HeddleClient], names: Sequence[str], engine: sa.Engine, processes: Sequence[int]
) -> tuple[list[_Seen], int]:
    """Returns what was seen in each part of the time, and how many events were stored before."""
    current = _Seen()

    async def watch_run(number: int) -> None:
        async for _ in clients[number % REPLICAS].watch_run(names[number % RUNS]):
            pass

    async def watch_session(number: int) -> None:
        attempt = f"{names[number % RUNS]}/epics/epic-{number}/tasks/task/attempts/1"
        async for answer in clients[number % REPLICAS].watch_session(attempt):
            now = time.time()
            current.delays += [now - event.time.ToNanoseconds() / 1e9 for event in answer.events]

    watches = [watch(number) for number in range(WATCHERS) for watch in (watch_run, watch_session)]
    watching = [asyncio.ensure_future(each) for each in watches]
    # Until the logs have been read from their beginning.
    await asyncio.sleep(5)
    began = await asyncio.to_thread(_scalar, engine, _STORED)
    parts = []
    try:
        for _ in range(PARTS):
            current.delays.clear()
            await asyncio.sleep(MEASURED / PARTS)
            current.stored = await asyncio.to_thread(_scalar, engine, _STORED)
            replicas = [psutil.Process(process) for process in processes]
            current.memory = sum(replica.memory_info().rss for replica in replicas)
            current.worked = [sum(replica.cpu_times()[:2]) for replica in replicas]
            parts.append(current)
            current = _Seen()
    finally:
        for each in watching:
            each.cancel()
        ended = await asyncio.gather(*watching, return_exceptions=True)
    if failed := [each for each in ended if not isinstance(each, asyncio.CancelledError)]:
        raise RuntimeError(f"watches ended: {failed}")
    return parts, began


def _table(parts: Sequence[_Seen], began: int) -> Table:
    stored = (parts[-1].stored - began) * 60 / MEASURED
    delays = [delay for part in parts for delay in part.delays]
    p95 = percentile(delays, 95) * 1000
    first, last = (percentile(part.delays, 95) * 1000 for part in (parts[0], parts[-1]))
    seconds = MEASURED * (PARTS - 1) / PARTS
    shares = [
        f"{(end - begin) / seconds:.0%}" for begin, end in zip(parts[0].worked, parts[-1].worked, strict=True)
    ]
    megabytes = [part.memory / 1e6 for part in (parts[0], parts[-1])]
    return Table(
        "Live",
        f"{SESSIONS} sessions, {EVENTS_A_MINUTE:,} events a minute, {REPLICAS} replicas, PostgreSQL with {DELAY:g} ms "
        f"added to a round trip, {WATCHERS} watchers of a run and of a session; {MEASURED:g} s.",
        ("figure", "measured", "aim"),
        [
            ("events stored a minute", f"{stored:,.0f}", f"≥ {EVENTS_A_MINUTE:,}"),
            ("event to client, median ms", f"{statistics.median(delays) * 1000:.0f}", ""),
            ("event to client, 95th percentile, ms", f"{p95:.0f}", "≤ 300"),
            ("the same, in the first and the last third", f"{first:.0f} and {last:.0f}", "no growth"),
            ("processor of each replica, of one core", ", ".join(shares), ""),
            (
                "memory of all replicas after the first and the last third, MB",
                f"{megabytes[0]:.0f} and {megabytes[1]:.0f}",
                "no growth",
            ),
        ],
    )
