"""How much work the writer does in one transaction."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from scheduler_svc.store.db.writer import Grouped, Job, Writer


@pytest.fixture
def writer() -> Iterator[Writer]:
    """A writer whose thread has not started, so what waits stays."""
    engine = sa.create_engine("sqlite://")
    yield Writer(engine, lambda _jobs, _outcomes: None)
    engine.dispose()


async def put(writer: Writer, *sizes: int) -> list[Job]:
    """Adds grouped work with items of these sizes in bytes; 0: work without an item."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    works = [Grouped(lambda _, items: items, None, size) if size else lambda _: None for size in sizes]
    jobs = [Job(work, (), None, future) for work in works]
    for job in jobs:
        writer.put(job)
    return jobs


@pytest.mark.parametrize(("waiting", "taken", "left"), [(1023, 1023, 0), (1024, 1024, 0), (1025, 1024, 1)])
async def test_number_of_jobs(waiting: int, taken: int, left: int, writer: Writer) -> None:
    """A transaction takes what waits, in order, up to 1024 jobs; the others follow in the next one."""
    jobs = await put(writer, *[0] * waiting)
    assert writer._next_group() == jobs[:taken]
    if left:
        assert writer._next_group() == jobs[taken:]


MIB = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([16 * MIB - 1, 1, 1], 2),
        ([16 * MIB, 1], 1),
        ([16 * MIB - 2, 1, 5, 1], 3),
        # Larger than the limit: alone, but not never.
        ([17 * MIB, 1], 1),
        ([8 * MIB, 0, 8 * MIB, 1], 3),
    ],
)
async def test_bytes_of_jobs(sizes: list[int], taken: int, writer: Writer) -> None:
    """A transaction takes jobs until their items have 16 MiB; the job that reaches the limit is included."""
    jobs = await put(writer, *sizes)
    assert writer._next_group() == jobs[:taken]
    assert writer._next_group() == jobs[taken:]


async def test_what_waits_is_written_before_the_end(writer: Writer) -> None:
    """Work before the end is still a group; after it there is none."""
    jobs = await put(writer, 0, 0)
    writer._queue.put(None)
    assert writer._next_group() == jobs
    assert writer._next_group() == []
