"""The calls of the client about workers, and terminals in their worktrees."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from heddle import pb
from heddle.client.rpc_caller import Caller
from heddle.rpc.paging import pages

if TYPE_CHECKING:
    # Exists only in the stub file.
    from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceAsyncStub


class WorkerCalls:
    """Part of HeddleClient."""

    _caller: Caller
    _stub: "SchedulerServiceAsyncStub"

    async def list_workers(self) -> list[pb.Worker]:
        request = pb.ListWorkersRequest()
        call = partial(self._caller.call, self._stub.ListWorkers)
        return [each async for page in pages(call, request) for each in page.workers]

    async def register_worker(self, request: pb.RegisterWorkerRequest) -> pb.RegisterWorkerResponse:
        """Adds a worker to the fleet; the client's credential must be that of the worker."""
        return await self._caller.call(self._stub.RegisterWorker, request)

    async def drain_worker(self, name: str) -> pb.Worker:
        """Starts no more sessions on a worker, given as workers/NAME."""
        request = pb.DrainWorkerRequest(name=name)
        return (await self._caller.mutate(self._stub.DrainWorker, request)).worker

    async def undrain_worker(self, name: str) -> pb.Worker:
        """Lets sessions start on a worker again."""
        request = pb.UndrainWorkerRequest(name=name)
        return (await self._caller.mutate(self._stub.UndrainWorker, request)).worker

    async def open_terminal(
        self, epic: str, size: pb.TerminalSize, typed: AsyncIterable[bytes | pb.TerminalSize]
    ) -> AsyncGenerator[bytes, None]:
        """Yields what a terminal in an epic's worktree shows, first nothing once its shell has started, until it exits.

        `typed` yields what is typed, and new sizes; the terminal is closed once it ends. The call is never repeated.
        """

        async def requests() -> AsyncIterator[pb.OpenTerminalRequest]:
            yield pb.OpenTerminalRequest(name=epic, size=size)
            async for each in typed:
                if isinstance(each, bytes):
                    yield pb.OpenTerminalRequest(input=each)
                else:
                    yield pb.OpenTerminalRequest(size=each)

        async for response in self._caller.stream(lambda: self._stub.OpenTerminal(requests())):
            yield response.output
