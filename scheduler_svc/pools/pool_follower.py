"""Keeps the workers of a replica those that a pool has made."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from scheduler_svc.pools.pool import Pool
from scheduler_svc.pools.workers import Workers

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class MakingPool(Pool, Protocol):
    """A pool that must be started."""

    async def start(self) -> None:
        """Begins to follow its places; raises ConfigError."""
        ...

    async def close(self) -> None:
        """Stops; places stay. Idempotent."""
        ...


class PoolFollower:
    """Follows a pool, in every replica: each of them reaches the workers. Only the leader asks for places."""

    def __init__(self, pool: MakingPool, workers: Workers, on_change: Callable[[], None]) -> None:
        self._pool = pool
        self._workers = workers
        self._on_change = on_change
        self._news = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the pool; raises ConfigError."""
        self._pool.on_change = self._news.set
        await self._pool.start()
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stops the pool. Idempotent."""
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None
        await self._pool.close()

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._workers.follow_pool()
            except Exception:
                log.exception("pool_not_followed")
            self._on_change()
