"""Relays terminals between admins and workers, and records who opened one where, and for how long."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Final

import grpc

from heddle import pb
from heddle.errors import HeddleError, invalid_field
from heddle.identity.principals import Call
from heddle.names import EpicName
from heddle.readable import span
from scheduler_svc.pools.workers import Workers, from_worker
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.leadership import read_epoch
from scheduler_svc.store.queries.records import epic_row, run_row
from scheduler_svc.store.rows.callers import audit

# Seconds that the first request may take.
_FIRST: Final = 10.0


class Terminals:
    """The open terminals of one replica. `now` returns the time in microseconds."""

    def __init__(self, database: Database, workers: Workers, now: Callable[[], int]) -> None:
        self._database = database
        self._workers = workers
        self._now = now
        # Records of ends that are being stored, after their calls have ended.
        self._ends: set[asyncio.Task[None]] = set()

    async def open(
        self, requests: AsyncIterator[pb.OpenTerminalRequest], call: Call
    ) -> AsyncIterator[pb.OpenTerminalResponse]:
        """Yields what the terminal shows; raises the errors of the RPC."""
        try:
            async with asyncio.timeout(_FIRST):
                first = await anext(requests, pb.OpenTerminalRequest())
        except TimeoutError:
            raise invalid_field("name", f"was not sent within {_FIRST:g} s") from None
        name = EpicName.parse(first.name)
        worker, epoch = await self._database.read(partial(_place, name=name))
        state = self._workers.connected(worker).state
        if not state.terminals:
            raise _off(state, worker)
        await self._record(call, name, "opened")
        begun, why = time.monotonic(), "closed by its user"
        relayed = self._relay(worker, first, epoch, requests)
        try:
            async with aclosing(relayed):
                async for output in relayed:
                    yield pb.OpenTerminalResponse(output=output)
            why = "its shell exited"
        except HeddleError as error:
            why = error.message
            raise
        finally:
            took = span(time.monotonic() - begun)
            end = asyncio.create_task(self._record(call, name, f"open for {took}: {why}"))
            self._ends.add(end)
            end.add_done_callback(self._ends.discard)

    async def _relay(
        self,
        worker: str,
        first: pb.OpenTerminalRequest,
        epoch: int,
        requests: AsyncIterator[pb.OpenTerminalRequest],
    ) -> AsyncGenerator[bytes, None]:
        async def passed_on() -> AsyncIterator[pb.AgentServiceOpenTerminalRequest]:
            yield pb.AgentServiceOpenTerminalRequest(
                name=first.name, epoch=epoch, size=first.size, input=first.input
            )
            async for request in requests:
                size = request.size if request.HasField("size") else None
                yield pb.AgentServiceOpenTerminalRequest(size=size, input=request.input)

        call = self._workers.get(worker).agent.OpenTerminal(passed_on())
        try:
            async for response in call:
                yield response.output
        except grpc.aio.AioRpcError as error:
            raise from_worker(worker, error) from error
        finally:
            call.cancel()

    async def _record(self, call: Call, name: EpicName, detail: str) -> None:
        work = partial(audit.record, call=call, resource=name, request_id="", now=self._now(), detail=detail)
        await self._database.submit(work)


def _place(connection: Connection, name: EpicName) -> tuple[str, int]:
    # An epic without a place of its own is on its run's worker.
    worker = epic_row(connection, name).worker or run_row(connection, name.parent).worker
    return str(worker), read_epoch(connection)


def _off(worker: pb.Worker, name: str) -> HeddleError:
    how = (
        "its operator turns them on with HEDDLE_TERMINAL=true"
        if worker.same_machine
        else "they are possible only on the scheduler's own machine"
    )
    return HeddleError(
        pb.ERROR_REASON_TERMINALS_OFF, f"terminals on worker {name} are off; {how}", worker=name
    )
