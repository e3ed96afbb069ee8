"""What PostgreSQL makes of the queries that a busy scheduler runs all the time."""

import sqlalchemy as sa

from scheduler_svc.store.db.engine import open_engine
from scheduler_svc.store.db.migrate import migrate
from tests.bench.history import OPEN, Size, generate
from tests.bench.hot_queries import hot_queries, recording, scanned
from tests.support.postgres import Postgres


def test_every_hot_query_has_an_index(postgres: Postgres) -> None:
    """PostgreSQL can answer each hot query without reading a growing table in whole; `make bench database` asks a large one."""
    size = Size(runs=OPEN * 2, events=10_000)
    engine = open_engine(postgres.new_database("hot_queries"))
    migrate(engine)
    with engine.begin() as connection:
        generate(connection, size)
        # The server has to know which tables are not empty.
        connection.execute(sa.text("ANALYZE"))
    scans = {}
    with engine.connect() as connection:
        # Reading a small table in whole is cheap, so the server is told that it is not.
        connection.execute(sa.text("SET enable_seqscan = off"))
        connection.commit()
        for name, query in hot_queries(size).items():
            connection.begin()
            with recording(connection) as executed:
                query(connection)
            assert executed, name
            found = {table for statement in executed for table in scanned(connection, *statement)}
            if found:
                scans[name] = found
            connection.rollback()
    engine.dispose()
    # It sums all runs, a small row each; no other page does.
    assert scans == {"ListCosts of projects": {"runs"}}
