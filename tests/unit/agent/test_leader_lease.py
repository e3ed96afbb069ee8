"""How long sessions continue without a leader."""

import asyncio

from agent_svc.sessions.leader_lease import Lease


async def test_a_renewed_lease_has_one_end() -> None:
    """However often a lease is renewed, only the last renewal counts; once dropped, nothing waits any more."""
    ended: list[str] = []
    lease = Lease(60, lambda: ended.append("over"))
    before = asyncio.all_tasks()
    for _ in range(3):
        lease.renew()
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks() - before) == 1
    lease.drop()
    lease.drop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert not ended


async def test_an_expired_lease_can_be_renewed() -> None:
    """The end is reported once for each time that the lease runs out."""
    over = asyncio.Event()
    lease = Lease(0.001, over.set)
    for _ in range(2):
        over.clear()
        lease.renew()
        await asyncio.wait_for(over.wait(), 30)


async def test_a_lease_of_zero_seconds_never_ends() -> None:
    """Without a limit, nothing waits for a renewal."""
    before = asyncio.all_tasks()
    Lease(0, lambda: None).renew()
    assert asyncio.all_tasks() == before
