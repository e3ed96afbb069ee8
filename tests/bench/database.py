"""Pages and queries on a database with a long history: their times, and whether PostgreSQL scans a table for them.

HEDDLE_BENCH_RUNS and HEDDLE_BENCH_EVENTS make it smaller. The full size takes about two gigabytes.
"""

import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.migrate import migrate
from tests.bench.history import Size, generate
from tests.bench.hot_queries import Query, hot_queries, recording, scanned
from tests.bench.table import Table, milliseconds
from tests.support.postgres import running_postgres

TAKES: Final = 20


async def run() -> Table:
    """Generates the history and measures each query; takes some minutes."""
    size = Size(
        int(os.environ.get("HEDDLE_BENCH_RUNS", Size().runs)),
        int(os.environ.get("HEDDLE_BENCH_EVENTS", Size().events)),
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running_postgres(folder / "postgres"))
        engine = open_engine(server.new_database("history"))
        stack.callback(engine.dispose)
        migrate(engine)
        began = time.monotonic()
        with engine.begin() as connection:
            generate(connection, size)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
        took = time.monotonic() - began
        rows = [_measure(engine, name, query) for name, query in hot_queries(size).items()]
    return Table(
        "Database",
        f"PostgreSQL with {size.runs:,} runs, {size.tasks:,} tasks and {size.events:,} events, generated in {took:.0f} s; "
        f"the median of {TAKES} takes, without the time of gRPC. Scans: the tables that are read in whole.",
        ("query", "statements", "ms", "of which the scheduler works, ms", "scans"),
        rows,
    )


def _measure(engine: sa.Engine, name: str, query: Query) -> tuple[str, ...]:
    takes = []
    worked = []
    for _ in range(TAKES):
        with engine.connect() as connection:
            connection.begin()
            began, cpu = time.perf_counter(), time.thread_time()
            query(connection)
            takes.append(time.perf_counter() - began)
            worked.append(time.thread_time() - cpu)
            connection.rollback()
    with engine.connect() as connection:
        connection.begin()
        with recording(connection) as executed:
            query(connection)
        scans = {table for statement in executed for table in scanned(connection, *statement)}
        connection.rollback()
    times = (milliseconds(statistics.median(takes)), milliseconds(statistics.median(worked)))
    return name, str(len(executed)), *times, ", ".join(sorted(scans)) or "none"
