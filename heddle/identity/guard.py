"""Identifies the caller of each RPC, and refuses what that caller may not do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import grpc

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity import access
from heddle.identity.principals import Principal, Role, set_caller

Context = grpc.aio.ServicerContext[Any, Any]


class Guard(Protocol):
    """How one service identifies its callers."""

    # Whether callers on an unencrypted TCP connection can identify themselves.
    takes_tokens: bool

    async def identify(self, context: Context) -> Principal:
        """Returns the caller; raises UNAUTHENTICATED if it is unknown."""
        ...


class SchedulerOnly:
    """The guard of a worker's services: only the scheduler may call them.

    It is whoever can open the service's Unix socket, which is in a private folder that
    sandboxes do not show, or has a certificate of the authority.
    """

    takes_tokens = False

    async def identify(self, context: Context) -> Principal:
        if context.peer().startswith("unix:") or context.auth_context().get("transport_security_type") == [
            b"ssl"
        ]:
            return Principal("scheduler", Role.SCHEDULER)
        raise HeddleError(
            pb.ERROR_REASON_UNAUTHENTICATED,
            "only the scheduler may call a worker, through its Unix socket or with mutual TLS",
        )


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls that `guard` cannot identify or the table of access does not allow; health stays open."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(access.OPEN_SERVICE):
            return handler
        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, method), *coders)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(handler.unary_stream, method), *coders
            )
        return grpc.stream_stream_rpc_method_handler(self._streaming(handler.stream_stream, method), *coders)

    async def _admit(self, context: Context, method: str) -> None:
        principal = await self._guard.identify(context)
        access.check(principal, method)
        set_caller(principal)

    def _unary(self, call: Any, method: str) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            await self._admit(context, method)
            return await call(request, context)

        return guarded

    def _streaming(self, call: Any, method: str) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            await self._admit(context, method)
            async for response in call(request, context):
                yield response

        return guarded
