"""The doorbell loses no ring after listening began."""

import asyncio

import pytest

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.store.db.doorbell import RUNS, Doorbell


async def test_ring_before_the_wait_is_heard() -> None:
    """A ring between two waits ends the next wait immediately, once per topic."""
    bell = Doorbell()
    with bell.listen("a", "b") as listener:
        bell.ring(["a", "a", "c"])
        assert await listener.wait(5) == {"a"}
        assert await listener.wait(0) == set()
        waiting = asyncio.ensure_future(listener.wait(5))
        await asyncio.sleep(0)
        bell.ring(["b"])
        assert await waiting == {"b"}


async def test_everybody_hears_and_those_who_left_do_not() -> None:
    """Every listener of a topic receives a ring and is removed after its block."""
    bell = Doorbell()
    with bell.listen("a") as first, bell.listen("a") as second:
        bell.ring_all()
        assert await first.wait(5) == await second.wait(5) == {"a"}
    assert not bell._listeners


async def test_closed_doorbell_ends_every_wait() -> None:
    """Closing raises DRAINING in current and in later waits."""
    bell = Doorbell()
    with bell.listen("a") as listener:
        waiting = asyncio.ensure_future(listener.wait(60))
        await asyncio.sleep(0)
        bell.close()
        with pytest.raises(HeddleError) as caught:
            await waiting
    assert caught.value.reason == pb.ERROR_REASON_DRAINING
    with bell.listen("b") as late, pytest.raises(HeddleError):
        await late.wait(60)


async def test_who_listens_to_all_runs_hears_of_each_run_and_of_nothing_below() -> None:
    """A run's topic rings for all runs; its sessions and summaries do not."""
    bell = Doorbell()
    with bell.listen(RUNS) as listener:
        bell.ring(["runs/a/summaries", "runs/a/epics/b/tasks/c/attempts/1", "loop"])
        assert await listener.wait(0) == set()
        bell.ring(["runs/a"])
        assert await listener.wait(5) == {"runs/a"}
