"""Locks and background jobs."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from worktree_svc.projects.locks import THREADS, KeyedExecutor, RepositoryLocks

DEADLINE = 10


class Gate:
    """A job that signals its start and waits for permission to end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.open.wait(DEADLINE)
        return "done"

    async def has_begun(self) -> bool:
        return await asyncio.to_thread(self.begun.wait, DEADLINE)


async def test_a_job_outlives_its_caller_and_keeps_its_key() -> None:
    """A job continues after its caller is cancelled, and the next job with its key waits for it."""
    executor, first = KeyedExecutor(), Gate()
    caller = asyncio.ensure_future(executor.run(first, key="epic"))
    assert await first.has_begun()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    saw_the_first_end = asyncio.ensure_future(executor.run(first.open.is_set, key="epic"))
    for _ in range(10):
        assert await executor.run(lambda: "done", key="another epic") == "done"
    first.open.set()
    assert await saw_the_first_end
    await executor.drain()


async def test_draining_completes_running_jobs_and_refuses_new_ones() -> None:
    """A drain waits for running jobs; new ones are refused with DRAINING."""
    executor, job = KeyedExecutor(), Gate()
    running = asyncio.ensure_future(executor.run(job))
    assert await job.has_begun()
    draining = asyncio.ensure_future(executor.drain())
    await asyncio.sleep(0)
    with pytest.raises(HeddleError) as raised:
        await executor.run(job)
    assert raised.value.reason == pb.ERROR_REASON_DRAINING
    assert not draining.done()
    job.open.set()
    assert await running == "done"
    await draining


def no_locks(*_: object) -> None:
    raise OSError("this file system has no locks")


@pytest.mark.parametrize("case", ["one-service", "two-services", "no-file-locks"])
def test_a_repository_has_one_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Threads of one service, or of two, never have the same repository at the same time."""
    mine = RepositoryLocks()
    theirs = RepositoryLocks() if case == "two-services" else mine
    if case == "no-file-locks":
        monkeypatch.setattr("fcntl.flock", no_locks)
    holders: list[str] = []
    most = []

    def hold(locks: RepositoryLocks) -> None:
        with locks.hold(tmp_path):
            holders.append("one")
            most.append(len(holders))
            threading.Event().wait(0.001)  # long enough that another thread would get the lock if it could
            holders.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, [mine, theirs] * 10))
    assert most == [1] * 20
    assert list(tmp_path.iterdir()) == []


async def test_stalled_jobs_do_not_block_others() -> None:
    """Jobs that have run for a while do not count against the limit, so other jobs begin."""
    executor, gates = KeyedExecutor(stalled=0.1), [Gate() for _ in range(2 * THREADS)]
    running = [asyncio.ensure_future(executor.run(gate)) for gate in gates]
    for gate in gates:
        assert await gate.has_begun()
    assert await asyncio.wait_for(executor.run(lambda: "another"), DEADLINE) == "another"
    for gate in gates:
        gate.open.set()
    assert await asyncio.gather(*running) == ["done"] * len(gates)
    await executor.drain()


async def test_jobs_that_do_not_stall_are_limited() -> None:
    """At most THREADS jobs run at the same time, and a job that has ended makes room for exactly one."""
    executor, gates = KeyedExecutor(), [Gate() for _ in range(THREADS + 1)]
    running = [asyncio.ensure_future(executor.run(gate)) for gate in gates]
    for gate in gates[:THREADS]:
        assert await gate.has_begun()
    assert not gates[THREADS].begun.is_set()
    gates[0].open.set()
    assert await gates[THREADS].has_begun()
    for gate in gates:
        gate.open.set()
    await asyncio.gather(*running)
    await executor.drain()
