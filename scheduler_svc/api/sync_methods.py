"""The method of SchedulerService about new commits of the project's branch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from heddle import pb
from heddle.identity.principals import caller
from heddle.names import run_or_epic
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer
from scheduler_svc.api.store_calls import StoreCalls
from scheduler_svc.commands.merges.sync_base import concerned, sync

Context = grpc.aio.ServicerContext[Any, Any]


class SyncMethods(SchedulerServiceServicer):
    """Part of SchedulerServicer, which sets the attributes."""

    _store: StoreCalls
    # Returns the time in microseconds.
    _now: Callable[[], int]

    async def SyncBase(self, request: pb.SyncBaseRequest, context: Context) -> pb.SyncBaseResponse:
        name = run_or_epic(request.name)
        work = partial(sync, name=name, actor=caller().name, now=self._now(), cancel=request.cancel)
        found = await self._store.once(request, name, work, partial(concerned, name=name))
        return pb.SyncBaseResponse(epics=found)
