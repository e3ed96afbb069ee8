"""Limits what one caller can ask of the scheduler at the same time and per second.

A stream costs the scheduler work for as long as it is open, so thousands of them would slow all other calls down.
Callers are told apart by `CallerKey`; what it returns is the only thing that this module knows about a caller.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc

from heddle import pb
from heddle.errors import HeddleError

# Open streams of one caller. The web app has one for each view that someone looks at.
MAX_STREAMS: Final = 500
# Calls per second of one caller, and how many it may make at once after a pause.
RATE: Final = 1_000.0
BURST: Final = 5_000.0

# Workers only have one caller, which limits itself.
_LIMITED: Final = "/heddle.v1.SchedulerService/"
# Callers whose rates are remembered. Those that have paused are forgotten first.
_REMEMBERED: Final = 2_000

# Returns the key of a call's caller: calls with equal keys share limits.
CallerKey: TypeAlias = "Callable[[grpc.aio.ServicerContext[Any, Any]], str]"


def by_connection(context: "grpc.aio.ServicerContext[Any, Any]") -> str:
    """Returns the address and port that the call comes from; all callers of a Unix socket are one."""
    return str(context.peer())


class CallLimits(grpc.aio.ServerInterceptor):
    """Refuses calls and streams above a caller's limits with TOO_MANY_CALLS.

    It is the inner one of two interceptors: `ErrorInterceptor` converts the error.
    """

    def __init__(
        self,
        *,
        streams: int = MAX_STREAMS,
        rate: float = RATE,
        burst: float = BURST,
        caller: CallerKey = by_connection,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams = streams
        self._rate = rate
        self._burst = burst
        self._caller = caller
        self._now = now
        self._open: dict[str, int] = {}
        # By caller: the calls that it may make at once, and when that was so.
        self._left: dict[str, tuple[float, float]] = {}

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_LIMITED):
            return handler
        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary), *coders)
        return grpc.unary_stream_rpc_method_handler(self._streaming(handler.unary_stream), *coders)

    def _unary(self, call: Any) -> Any:
        async def limited(request: Any, context: Any) -> Any:
            self._count(self._caller(context))
            return await call(request, context)

        return limited

    def _streaming(self, call: Any) -> Any:
        async def limited(request: Any, context: Any) -> AsyncIterator[Any]:
            caller = self._caller(context)
            self._count(caller)
            if self._open.get(caller, 0) >= self._streams:
                raise _refused(f"this client already has {self._streams:,} open streams; close some of them")
            self._open[caller] = self._open.get(caller, 0) + 1
            # Unlike the end of this generator, it is certain to come, and at once.
            context.add_done_callback(lambda _: self._close(caller))
            async for response in call(request, context):
                yield response

        return limited

    def _close(self, caller: str) -> None:
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]

    def _count(self, caller: str) -> None:
        now = self._now()
        left = self._left_at(caller, now)
        if left < 1:
            raise _refused(f"this client makes more than {self._rate:,.0f} calls per second; make fewer")
        # At the end of the order: the callers at its beginning have paused the longest.
        self._left.pop(caller, None)
        self._left[caller] = (left - 1, now)
        if len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]

    def _left_at(self, caller: str, now: float) -> float:
        left, before = self._left.get(caller, (self._burst, now))
        return min(self._burst, left + (now - before) * self._rate)


def _refused(message: str) -> HeddleError:
    return HeddleError(pb.ERROR_REASON_TOO_MANY_CALLS, message)
