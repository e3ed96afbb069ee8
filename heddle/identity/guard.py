"""Identifies the caller of each RPC, and refuses what that caller may not do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import DecodeError

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity import access, certificates
from heddle.identity.principals import SCHEDULER, Call, Principal, enter
from heddle.rpc.call_limits import CallLimits
from heddle.rpc.rpc_handlers import wrapped

Context = grpc.aio.ServicerContext[Any, Any]

# Seconds between two checks of whether the credential of an open stream is still valid.
LOOK_AGAIN: Final = 3.0

# The largest request that is parsed only to record what it was about.
_RECORDED_BYTES: Final = 4 << 10


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
        """Records a call that was refused; the caller's name is empty, or the request None, if it is unknown."""
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
    """Refuses calls that `guard` cannot identify, the table of access does not allow or `limits` exceed.

    Health stays open. A large request is parsed only once its caller is known, and counts until it is answered.
    """

    def __init__(self, guard: Guard, limits: CallLimits | None) -> None:
        self._guard = guard
        # None: for a worker, whose only caller limits itself.
        self._limits = limits

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(access.OPEN_SERVICE):
            return handler
        # Requests of a stream are small, and are read one after the other.
        parse = None if handler.stream_stream else handler.request_deserializer
        return wrapped(
            handler,
            lambda call: self._unary(call, method, parse),
            lambda call: self._streaming(call, method, parse),
            raw=True,
        )

    async def _admit(
        self, raw: Any, context: Context, method: str, parse: Callable[[bytes], Any] | None
    ) -> tuple[Principal, Any]:
        """Returns the caller and the parsed request, whose bytes count until `_end`; records and raises a refusal."""
        name = method.removeprefix("/heddle.v1.").replace("/", ".")
        call, request, size = Call(Principal(""), name, context.peer()), None, 0
        try:
            call = Call(await self._guard.identify(context), name, context.peer())
            access.check(call.principal, method)
            if self._limits:
                self._limits.count(call.principal.name)
                self._limits.begin(call.principal.name, _size(raw))
                size = _size(raw)
            request = _parsed(raw, parse) if parse else raw
            await self._guard.check_scope(call, request)
        except BaseException as error:
            self._end(call.principal, size)
            if isinstance(error, HeddleError) and error.reason != pb.ERROR_REASON_TOO_MANY_CALLS:
                await self._guard.note_refusal(call, request or _named(raw, parse), error)
            raise
        enter(call)
        return call.principal, request

    def _end(self, principal: Principal, size: int) -> None:
        if self._limits:
            self._limits.end(principal.name, size)

    def _unary(self, handle: Any, method: str, parse: Callable[[bytes], Any] | None) -> Any:
        async def guarded(raw: bytes, context: Context) -> Any:
            principal, request = await self._admit(raw, context, method, parse)
            try:
                return await handle(request, context)
            finally:
                self._end(principal, _size(raw))

        return guarded

    def _streaming(self, handle: Any, method: str, parse: Callable[[bytes], Any] | None) -> Any:
        async def guarded(raw: Any, context: Context) -> AsyncIterator[Any]:
            principal, request = await self._admit(raw, context, method, parse)
            # Requests of streams are small, and the end of a stream is not certain to run this generator further.
            self._end(principal, _size(raw))
            if limits := self._limits:
                limits.open_stream(principal.name)
                context.add_done_callback(lambda _: limits.close_stream(principal.name))  # type: ignore[arg-type]  # the stubs want a more exact type
            async for response in self._until_revoked(handle(request, context), principal, context):
                yield response

        return guarded

    async def _until_revoked(
        self, responses: AsyncIterator[Any], principal: Principal, context: Context
    ) -> AsyncIterator[Any]:
        if not principal.token:
            async for response in responses:
                yield response
            return
        ending = _EndOnRevocation(self._guard, context)
        try:
            async for response in responses:
                yield response
        except asyncio.CancelledError:
            if ending.error is None:
                raise
            raise ending.error from None
        finally:
            await ending.stop()


def _named(raw: Any, parse: Callable[[bytes], Any] | None) -> Any:
    """Returns the request for the record of a refusal; None if it is large or malformed."""
    if not parse or _size(raw) > _RECORDED_BYTES:
        return None
    with suppress(DecodeError):
        return parse(raw)
    return None


def _size(raw: Any) -> int:
    # A stream of requests is an iterator of parsed ones.
    return len(raw) if isinstance(raw, bytes) else 0


def _parsed(raw: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(raw)
    except DecodeError as error:
        raise HeddleError(
            pb.ERROR_REASON_INVALID_FIELD, f"the request is not a message of this call: {error}"
        ) from error


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
