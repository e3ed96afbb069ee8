"""Registers this worker at the scheduler, again and again, until it leaves."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from heddle import pb
from heddle.client import HeddleClient, ServerUnreachable
from heddle.config import Settings
from heddle.errors import HeddleError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_LEAVE_TIMEOUT: Final = 10.0
_RETRY: Final = 2.0


class Registration:
    """The registration of one worker. The scheduler knows it by its certificate or by HEDDLE_TOKEN."""

    def __init__(self, settings: Settings) -> None:
        worktree, _, agent = settings.advertise.partition("+")
        self._request = pb.RegisterWorkerRequest(
            name=f"workers/{settings.worker_name}",
            worktree_address=worktree,
            agent_address=agent,
            labels=settings.labels,
        )
        self._settings = settings
        self._registering: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to register, however long the scheduler is unavailable; does nothing without HEDDLE_ADVERTISE."""
        if self._settings.advertise:
            self._registering = asyncio.create_task(self._register())

    async def leave(self) -> None:
        """Leaves the fleet; the scheduler is asked once. Idempotent."""
        if self._registering is None:
            return
        self._registering.cancel()
        with suppress(asyncio.CancelledError):
            await self._registering
        self._registering = None
        self._request.leaving = True
        with suppress(HeddleError, ServerUnreachable, TimeoutError):
            async with asyncio.timeout(_LEAVE_TIMEOUT), self._client() as client:
                await client.register_worker(self._request)

    async def _register(self) -> None:
        scheduler = self._settings.scheduler
        # The last problem. None: it is registered.
        problem: str | None = ""
        async with self._client() as client:
            while True:
                pause = _RETRY
                try:
                    answer = await client.register_worker(self._request)
                    pause = answer.renew_after.ToNanoseconds() / 1e9
                    if problem is not None:
                        log.info("registered", scheduler=scheduler)
                    problem = None
                except (HeddleError, ServerUnreachable) as error:
                    if str(error) != problem:
                        log.warning("not_registered", scheduler=scheduler, error=str(error))
                    problem = str(error)
                await asyncio.sleep(pause)

    def _client(self) -> HeddleClient:
        return HeddleClient(
            self._settings.scheduler, self._settings.tls, token=self._settings.token, patience=0
        )
