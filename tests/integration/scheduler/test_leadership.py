"""One replica leads, on both kinds of database."""

import asyncio
import threading
from functools import partial

import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.db.doorbell import Doorbell
from scheduler_svc.store.db.leadership import Leadership, check_epoch
from tests.support.postgres import Postgres


async def test_each_leader_gets_the_next_epoch(database: Database) -> None:
    """While one replica leads, another waits; after a release, the other leads with the next epoch."""
    first, second = Leadership(database), Leadership(database)
    epoch = await first.acquire()
    waiting = asyncio.ensure_future(second.acquire())
    _, pending = await asyncio.wait([waiting], timeout=0.3)
    assert pending
    await first.release()

    assert await asyncio.wait_for(waiting, 60) == epoch + 1
    await second.release()


@pytest.mark.parametrize("when", ["during the try", "before the epoch"])
async def test_a_replica_that_ends_before_it_leads_keeps_no_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A cancelled replica releases the lock, also one that a thread of it takes only after the cancellation."""
    leadership = Leadership(database)
    reached, proceed, tried = threading.Event(), threading.Event(), threading.Event()
    take = leadership._lock.try_acquire

    def late() -> bool:
        if when == "during the try":
            reached.set()
            assert proceed.wait(30)
        held = take()
        tried.set()
        return held

    async def submit(*_: object) -> int:
        reached.set()
        await asyncio.sleep(60)
        return 1

    monkeypatch.setattr(leadership._lock, "try_acquire", late)
    monkeypatch.setattr(database, "submit", submit)
    acquiring = asyncio.ensure_future(leadership.acquire())
    assert await asyncio.to_thread(reached.wait, 30)
    acquiring.cancel()
    await asyncio.sleep(0)
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await acquiring
    assert await asyncio.to_thread(tried.wait, 30)
    assert not await asyncio.to_thread(leadership._lock.is_held)


async def test_who_is_frozen_in_a_transaction_holds_nobody_up(postgres: Postgres) -> None:
    """PostgreSQL rolls back a frozen leader's write, so that the next can lead; later writes are refused."""
    url = postgres.new_database("frozen")
    frozen, follower = Database(url, Doorbell()), Database(url, Doorbell())
    for each in (frozen, follower):
        await each.open()
    leads, follows = Leadership(frozen), Leadership(follower)
    epoch = await leads.acquire()
    began, thaw = threading.Event(), threading.Event()

    def freeze(connection: sa.Connection) -> None:
        connection.execute(sa.select(1))
        began.set()
        thaw.wait(60)

    writing = asyncio.ensure_future(frozen.submit(freeze, guard=partial(check_epoch, epoch=epoch)))
    try:
        assert await asyncio.to_thread(began.wait, 30)
        # The lock is on another connection, which the server closes as well.
        await leads.release()
        assert await asyncio.wait_for(follows.acquire(), 30) == epoch + 1
    finally:
        thaw.set()
    with pytest.raises(HeddleError) as caught:
        await writing
    assert caught.value.reason == pb.ERROR_REASON_DATABASE_UNAVAILABLE
    with pytest.raises(HeddleError) as caught:
        await frozen.submit(lambda _: None, guard=partial(check_epoch, epoch=epoch))
    assert caught.value.reason == pb.ERROR_REASON_STALE_EPOCH
    await follows.release()
    for each in (frozen, follower):
        await each.close()
