"""Registers this worker at the scheduler, again and again, until it leaves."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from heddle import errors, pb
from heddle.channels import open_channel
from heddle.config import Settings
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

if TYPE_CHECKING:
    # Exists only in the stub file.
    from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceAsyncStub

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 10.0
_LEAVE_TIMEOUT: Final = 3.0
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
        async with self._channel() as channel:
            with suppress(grpc.aio.AioRpcError):
                await self._stub(channel).RegisterWorker(self._request, timeout=_LEAVE_TIMEOUT)

    async def _register(self) -> None:
        # The last problem. None: it is registered.
        problem: str | None = ""
        async with self._channel() as channel:
            while True:
                pause = _RETRY
                try:
                    answer = await self._stub(channel).RegisterWorker(self._request, timeout=_TIMEOUT)
                    pause = answer.renew_after.ToNanoseconds() / 1e9
                    if problem is not None:
                        log.info("registered", scheduler=self._settings.scheduler)
                    problem = None
                except grpc.aio.AioRpcError as error:
                    known = errors.from_rpc(error)
                    said = known.message if known else f"{error.code().name}: {error.details()}"
                    if said != problem:
                        log.warning("not_registered", scheduler=self._settings.scheduler, error=said)
                    problem = said
                await asyncio.sleep(pause)

    def _channel(self) -> grpc.aio.Channel:
        return open_channel(self._settings.scheduler, self._settings.tls, lambda: self._settings.token)

    @staticmethod
    def _stub(channel: grpc.aio.Channel) -> "SchedulerServiceAsyncStub":
        return SchedulerServiceStub(channel)
