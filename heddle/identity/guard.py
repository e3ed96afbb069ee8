"""Identifies the caller of each RPC, and refuses what that caller may not do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import grpc

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity import access, certificates
from heddle.identity.principals import SCHEDULER, Call, Principal, enter

Context = grpc.aio.ServicerContext[Any, Any]

# Seconds between two checks of whether the credential of an open stream is still valid.
LOOK_AGAIN: Final = 3.0


class Guard(Protocol):
    """How one service identifies its callers."""

    # Whether callers on an unencrypted TCP connection can identify themselves.
    takes_tokens: bool

    async def identify(self, context: Context) -> Principal:
        """Returns the caller; raises UNAUTHENTICATED if it is unknown."""
        ...

    async def check_scope(self, call: Call, request: Any) -> None:
        """Raises PERMISSION_DENIED if the caller is limited to projects and the request is about others."""
        ...

    async def note_refusal(self, call: Call, request: Any, error: HeddleError) -> None:
        """Records a call that was refused; the caller's name is empty if it is unknown."""
        ...


class SchedulerOnly:
    """The guard of a worker's services: only the scheduler may call them.

    It is whoever can open the service's Unix socket, which is in a private folder that
    sandboxes do not show, or whose certificate has the scheduler's identity.
    """

    takes_tokens = False

    async def identify(self, context: Context) -> Principal:
        """Returns the scheduler; raises UNAUTHENTICATED for any other connection."""
        if context.peer().startswith("unix:"):
            return SCHEDULER
        found = certificates.identities(context.auth_context())
        if certificates.SCHEDULER in found:
            return SCHEDULER
        has = (
            f"the certificate of this call has {', '.join(sorted(found))}" if found else "this call has none"
        )
        raise HeddleError(
            pb.ERROR_REASON_UNAUTHENTICATED,
            "only the scheduler may call a worker, through its Unix socket or with a certificate for"
            f" {certificates.SCHEDULER}; {has}",
        )

    async def check_scope(self, call: Call, request: Any) -> None:
        """Does nothing: the scheduler has no limit."""

    async def note_refusal(self, call: Call, request: Any, error: HeddleError) -> None:
        """Does nothing: the caller gets the error, and a worker has no audit log."""


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

    async def _admit(self, request: Any, context: Context, method: str) -> Principal:
        name = method.removeprefix("/heddle.v1.").replace("/", ".")
        call = Call(Principal(""), name, context.peer())
        try:
            call = Call(await self._guard.identify(context), name, context.peer())
            access.check(call.principal, method)
            await self._guard.check_scope(call, request)
        except HeddleError as error:
            await self._guard.note_refusal(call, request, error)
            raise
        enter(call)
        return call.principal

    def _unary(self, handle: Any, method: str) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            await self._admit(request, context, method)
            return await handle(request, context)

        return guarded

    def _streaming(self, handle: Any, method: str) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            principal = await self._admit(request, context, method)
            if not principal.token:
                async for response in handle(request, context):
                    yield response
                return
            ending = _EndOnRevocation(self._guard, context)
            try:
                async for response in handle(request, context):
                    yield response
            except asyncio.CancelledError:
                if ending.error is None:
                    raise
                raise ending.error from None
            finally:
                await ending.stop()

        return guarded


class _EndOnRevocation:
    """Cancels the current task once the caller's credential is no longer valid; `error` then says why."""

    def __init__(self, guard: Guard, context: Context) -> None:
        self.error: HeddleError | None = None
        self._guard = guard
        self._context = context
        self._stream = asyncio.current_task()
        self._look = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self.error is None:
            await asyncio.sleep(LOOK_AGAIN)
            try:
                await self._guard.identify(self._context)
            except HeddleError as error:
                if error.reason == pb.ERROR_REASON_UNAUTHENTICATED:
                    self.error = error
        if self._stream:
            self._stream.cancel()

    async def stop(self) -> None:
        self._look.cancel()
        with suppress(asyncio.CancelledError):
            await self._look
