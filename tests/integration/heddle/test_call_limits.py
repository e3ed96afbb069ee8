"""How much one caller can ask of the scheduler at the same time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from unittest.mock import Mock

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from heddle import errors, pb, serving
from heddle.call_limits import CallLimits
from heddle.channels import open_channel
from heddle.serving import Server, Service
from heddle.v1 import scheduler_service_pb2_grpc as rpc
from tests.support.callers import ADA


class Watched(rpc.SchedulerServiceServicer):
    """Streams that never end."""

    async def WatchRuns(
        self, request: pb.WatchRunsRequest, context: object
    ) -> AsyncIterator[pb.WatchRunsResponse]:
        yield pb.WatchRunsResponse(complete=True)
        await asyncio.Event().wait()

    async def ListRuns(self, request: pb.ListRunsRequest, context: object) -> pb.ListRunsResponse:
        return pb.ListRunsResponse()


def _register(server: grpc.aio.Server) -> None:
    rpc.add_SchedulerServiceServicer_to_server(Watched(), server)  # type: ignore[abstract]  # only these are called


class Clock:
    """A clock that stands still until a test moves it."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A scheduler that accepts two streams of a caller, and one call per second after the first ten."""
    limits = partial(CallLimits, streams=2, rate=1, burst=10, now=clock)
    monkeypatch.setattr(serving, "CallLimits", limits)
    running = Server(Service(["heddle.v1.SchedulerService"], _register, ADA), "127.0.0.1:0")
    await running.start()
    yield running
    await running.stop()


async def refusal(call: grpc.aio.UnaryUnaryCall | grpc.aio.UnaryStreamCall) -> errors.HeddleError | None:  # type: ignore[type-arg]  # any call
    """Returns the error of a call; None if it is answered."""
    try:
        await (call.read() if isinstance(call, grpc.aio.UnaryStreamCall) else call)
    except grpc.aio.AioRpcError as error:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # aio errors resemble a call
        assert status is not None
        assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
        return errors.from_rpc(error)
    return None


async def test_a_caller_has_a_limited_number_of_streams(server: Server) -> None:
    """Further streams are refused with a time to retry; calls and other callers are not affected."""
    async with open_channel(server.address) as channel:
        stub = rpc.SchedulerServiceStub(channel)
        streams = [stub.WatchRuns(pb.WatchRunsRequest()) for _ in range(2)]
        assert [await refusal(stream) for stream in streams] == [None, None]
        refused = await refusal(stub.WatchRuns(pb.WatchRunsRequest()))
        assert refused is not None
        assert refused.reason == pb.ERROR_REASON_TOO_MANY_CALLS
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await refusal(stub.ListRuns(pb.ListRunsRequest())) is None
        async with grpc.aio.insecure_channel(
            server.address, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as other:
            assert await refusal(rpc.SchedulerServiceStub(other).WatchRuns(pb.WatchRunsRequest())) is None


async def test_a_closed_stream_makes_room() -> None:
    """A stream counts until its call is over, also if it is cancelled between two answers."""
    limits = CallLimits(streams=1)
    ended: list[Callable[[object], None]] = []
    context = Mock(peer=lambda: "ipv4:127.0.0.1:1", add_done_callback=ended.append)
    watch = limits._streaming(partial(Watched.WatchRuns, Mock()))
    first = watch(pb.WatchRunsRequest(), context)
    assert (await anext(first)).complete
    with pytest.raises(errors.HeddleError, match="1 open streams"):
        await anext(watch(pb.WatchRunsRequest(), context))
    ended[0](context)
    assert (await anext(watch(pb.WatchRunsRequest(), context))).complete


async def test_a_caller_makes_a_limited_number_of_calls(server: Server, clock: Clock) -> None:
    """A burst above the limit is refused, and a pause allows calls again."""
    async with open_channel(server.address) as channel:
        stub = rpc.SchedulerServiceStub(channel)
        answers = [await refusal(stub.ListRuns(pb.ListRunsRequest())) for _ in range(11)]
        assert answers[:10] == [None] * 10
        assert answers[10] is not None
        assert answers[10].reason == pb.ERROR_REASON_TOO_MANY_CALLS
        clock.seconds += 1
        assert await refusal(stub.ListRuns(pb.ListRunsRequest())) is None
        assert await refusal(stub.ListRuns(pb.ListRunsRequest())) is not None
