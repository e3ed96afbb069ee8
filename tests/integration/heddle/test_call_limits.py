"""How much one caller can ask of the scheduler at the same time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from heddle import errors, pb
from heddle.identity.guard import GuardInterceptor
from heddle.identity.principals import Principal
from heddle.rpc import serving
from heddle.rpc.call_limits import CallLimits
from heddle.rpc.channels import open_channel
from heddle.rpc.serving import Server, Service
from heddle.v1 import scheduler_service_pb2_grpc as rpc
from tests.support.callers import ADA, KnownCaller


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


class Believing(KnownCaller):
    """Takes the token of a call for the name of its caller."""

    def __init__(self) -> None:
        super().__init__(ADA.principal)

    async def identify(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        header = str(dict(context.invocation_metadata() or ()).get("authorization", ""))
        if not header:
            raise errors.HeddleError(pb.ERROR_REASON_UNAUTHENTICATED, "no token")
        return Principal(header.removeprefix("Bearer "), pb.ROLE_ADMIN)


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
    """A scheduler that accepts two streams of a caller, and one call per second after the first ten. It believes names."""
    limits = partial(CallLimits, streams=2, rate=1, burst=10, now=clock)
    monkeypatch.setattr(serving, "CallLimits", limits)
    running = Server(Service(["heddle.v1.SchedulerService"], _register, Believing()), "127.0.0.1:0")
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
        found = errors.from_rpc(error)
        assert found is not None
        waits = any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
        assert waits is (found.reason == pb.ERROR_REASON_TOO_MANY_CALLS)
        return found
    return None


def named(user: str) -> Callable[[], str]:
    return lambda: user


async def test_limits_are_of_a_caller_and_not_of_a_connection(server: Server, clock: Clock) -> None:
    """Further streams and calls of one caller are refused on all of its connections; others on one of them are not."""
    async with (
        open_channel(server.address, token=named("eve")) as first,
        grpc.aio.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as second,
    ):
        stub, other = rpc.SchedulerServiceStub(first), rpc.SchedulerServiceStub(second)
        as_eve, as_ada = (grpc.aio.Metadata(("authorization", f"Bearer {user}")) for user in ("eve", "ada"))
        streams = [
            stub.WatchRuns(pb.WatchRunsRequest()),
            other.WatchRuns(pb.WatchRunsRequest(), metadata=as_eve),
        ]
        assert [await refusal(stream) for stream in streams] == [None, None]
        refused = await refusal(other.WatchRuns(pb.WatchRunsRequest(), metadata=as_eve))
        assert refused is not None
        assert refused.reason == pb.ERROR_REASON_TOO_MANY_CALLS
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "eve already has 2 open streams" in refused.message
        assert await refusal(other.WatchRuns(pb.WatchRunsRequest(), metadata=as_ada)) is None
        # Three of ten calls were streams.
        answers = [await refusal(stub.ListRuns(pb.ListRunsRequest())) for _ in range(7)]
        assert answers == [None] * 7
        refused = await refusal(other.ListRuns(pb.ListRunsRequest(), metadata=as_eve))
        assert refused is not None
        assert "eve makes more than the allowed 1 calls per second" in refused.message
        assert await refusal(other.ListRuns(pb.ListRunsRequest(), metadata=as_ada)) is None
        clock.seconds += 1
        assert await refusal(other.ListRuns(pb.ListRunsRequest(), metadata=as_eve)) is None
        assert await refusal(stub.ListRuns(pb.ListRunsRequest())) is not None


async def test_a_connection_has_a_limited_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls, and even for health: a further call of the connection begins once another one has ended."""
    monkeypatch.setattr(serving, "CONNECTION_STREAMS", 2)
    server = Server(Service(["heddle.v1.SchedulerService"], _register, ADA), "127.0.0.1:0")
    await server.start()
    async with open_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for watch in watches:
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        check = health.Check(health_pb2.HealthCheckRequest(), timeout=60)
        waiting = asyncio.ensure_future(_answer(check))
        # Another connection is served meanwhile.
        async with grpc.aio.insecure_channel(
            server.address, [("grpc.use_local_subchannel_pool", 1)]
        ) as other:
            free: Any = health_pb2_grpc.HealthStub(other)
            assert (await free.Check(health_pb2.HealthCheckRequest())).status
        assert not waiting.done()
        watches[0].cancel()
        assert (await waiting).status == health_pb2.HealthCheckResponse.SERVING
    await server.stop()


async def _answer(call: Any) -> Any:
    return await call


async def test_a_closed_stream_makes_room() -> None:
    """A stream counts until its call is over, also if it is cancelled between two answers."""
    guard = GuardInterceptor(ADA, CallLimits(streams=1))
    ended: list[Callable[[object], None]] = []
    context = Mock(peer=lambda: "ipv4:127.0.0.1:1", add_done_callback=ended.append)
    method = "/heddle.v1.SchedulerService/WatchRuns"
    watch = guard._streaming(partial(Watched.WatchRuns, Mock()), method, pb.WatchRunsRequest.FromString)
    first = watch(b"", context)
    assert (await anext(first)).complete
    with pytest.raises(errors.HeddleError, match="user:ada already has 1 open streams"):
        await anext(watch(b"", context))
    ended[0](context)
    assert (await anext(watch(b"", context))).complete


async def test_a_request_is_read_only_for_a_known_caller(server: Server) -> None:
    """A malformed request of an unknown caller is refused for its caller; that of a known one for the request."""
    async with open_channel(server.address) as channel:
        call: Any = channel.unary_unary("/heddle.v1.SchedulerService/ListRuns")
        refused = await refusal(call(b"\xff\xff\xff"))
        assert refused is not None
        assert refused.reason == pb.ERROR_REASON_UNAUTHENTICATED
        refused = await refusal(call(b"\xff\xff\xff", metadata=(("authorization", "Bearer ada"),)))
        assert refused is not None
        assert refused.reason == pb.ERROR_REASON_INVALID_FIELD
