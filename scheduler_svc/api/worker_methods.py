"""The methods of SchedulerService about workers."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from heddle import pb
from heddle.identity.principals import current_call
from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceServicer
from scheduler_svc.api.terminal_relay import Terminals
from scheduler_svc.commands.workers.fleet import Fleet
from scheduler_svc.pools.worker import POLL_INTERVAL
from scheduler_svc.pools.workers import Workers
from scheduler_svc.store.queries.page_tokens import page_size, texts, token

Context = grpc.aio.ServicerContext[Any, Any]


class WorkerMethods(SchedulerServiceServicer):
    """Part of SchedulerServicer, which sets the attributes."""

    _workers: Workers
    _fleet: Fleet
    _terminals: Terminals

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Context) -> pb.ListWorkersResponse:
        size = page_size(request.page_size, 100, 500)
        after = texts(request.page_token, 1)
        workers = [worker for worker in self._workers.list() if after is None or worker.name > after[0]]
        response = pb.ListWorkersResponse(workers=workers[:size])
        response.poll_interval.FromMilliseconds(int(POLL_INTERVAL * 1000))
        if len(workers) > size:
            response.next_page_token = token(workers[size - 1].name)
        return response

    async def RegisterWorker(
        self, request: pb.RegisterWorkerRequest, context: Context
    ) -> pb.RegisterWorkerResponse:
        return await self._fleet.register(request, current_call())

    async def DrainWorker(self, request: pb.DrainWorkerRequest, context: Context) -> pb.DrainWorkerResponse:
        worker = await self._fleet.drain(request, current_call(), draining=True)
        return pb.DrainWorkerResponse(worker=worker)

    async def UndrainWorker(
        self, request: pb.UndrainWorkerRequest, context: Context
    ) -> pb.UndrainWorkerResponse:
        worker = await self._fleet.drain(request, current_call(), draining=False)
        return pb.UndrainWorkerResponse(worker=worker)

    async def OpenTerminal(
        self, requests: AsyncIterator[pb.OpenTerminalRequest], context: Context
    ) -> AsyncIterator[pb.OpenTerminalResponse]:
        async for response in self._terminals.open(requests, current_call()):
            yield response
