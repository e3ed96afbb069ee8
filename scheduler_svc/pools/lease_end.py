"""Ends the waiting for a worker that does not answer once its lease has expired.

A worker that is frozen, or behind a network that drops packets, keeps its connections open: a call to it would last until
its timeout, which is minutes for git, and a stream until the keepalive.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final, TypeVar

import grpc

from heddle.errors import HeddleError
from scheduler_svc.pools.worker import no_worker
from scheduler_svc.pools.workers import Workers

T = TypeVar("T")

# Seconds between two looks at a lease.
_LOOK: Final = 1.0


async def _lease_end(workers: Workers, worker: str) -> HeddleError:
    """Returns an error once the worker's lease has expired while it was unreachable."""
    while not workers.has_let_go(worker):  # noqa: ASYNC110 (a lease ends by time)
        await asyncio.sleep(_LOOK)
    return no_worker(f"worker {worker} was lost: it could not be reached until its lease expired")


async def before_lease_end(workers: Workers, worker: str, work: Awaitable[T]) -> T:
    """Awaits a call to a worker; raises NO_WORKER once the worker's lease has expired."""
    calling = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(_lease_end(workers, worker))
    try:
        await asyncio.wait({calling, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():
            raise ending.result()
        return calling.result()
    finally:
        for each in (calling, ending):
            each.cancel()
        await asyncio.gather(calling, ending, return_exceptions=True)


async def stream_before_lease_end(
    workers: Workers, worker: str, stream: "grpc.aio.UnaryStreamCall[Any, T]"
) -> AsyncIterator[T]:
    """Yields the messages of a stream of a worker; raises NO_WORKER once the worker's lease has expired."""
    expired: list[HeddleError] = []

    async def end() -> None:
        expired.append(await _lease_end(workers, worker))
        stream.cancel()

    ending = asyncio.create_task(end())
    try:
        async for each in stream:
            yield each
    except asyncio.CancelledError:
        if expired:
            raise expired[0] from None
        raise
    finally:
        ending.cancel()
