"""The methods of SchedulerService with which a person resolves the conflict of an epic's merge."""

from collections.abc import Callable
from typing import Any

import grpc

from heddle import pb
from heddle.identity.principals import current_call
from heddle.names import EpicName
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer
from scheduler_svc.api.store_calls import StoreCalls
from scheduler_svc.commands.merges import person_resolution
from scheduler_svc.commands.merges.epic_merges import get_epic
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.db.database import Database

Context = grpc.aio.ServicerContext[Any, Any]


class ResolutionMethods(SchedulerServiceServicer):
    """Part of SchedulerServicer, which sets the attributes."""

    _database: Database
    _store: StoreCalls
    _workers: Workers
    # Returns the time in microseconds.
    _now: Callable[[], int]

    async def GetEpicConflict(
        self, request: pb.GetEpicConflictRequest, context: Context
    ) -> pb.GetEpicConflictResponse:
        found = await person_resolution.read_conflict(self._database, self._workers, request)
        return pb.GetEpicConflictResponse(conflict=found.conflict)

    async def GetConflictFile(
        self, request: pb.GetConflictFileRequest, context: Context
    ) -> pb.GetConflictFileResponse:
        found = await person_resolution.read_conflict(self._database, self._workers, request)
        return pb.GetConflictFileResponse(parts=found.parts)

    async def SubmitResolution(
        self, request: pb.SubmitResolutionRequest, context: Context
    ) -> pb.SubmitResolutionResponse:
        name = EpicName.parse(request.name)
        await person_resolution.submit(self._database, self._workers, request, current_call(), self._now())
        return pb.SubmitResolutionResponse(epic=await self._store.read(get_epic, name))
