"""Calls of a client: retried while the server is unavailable, with watches that resume automatically."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import grpc

from heddle import errors
from heddle.timing.backoff import Backoff

# Timeout of a call in seconds; calls that wait for processes to end have a longer one.
CALL_TIMEOUT: Final = 60.0
# The same for calls that clone.
CLONE_TIMEOUT: Final = 900.0

# Seconds before the second try of a call.
FIRST_PAUSE: Final = 0.1

# The status codes of a restart, a drain or a broken connection, depending on when it happens.
BREAKS: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)

# The messages of gRPC if the two sides disagree about TLS; the other side may also just hang up.
_DISAGREEMENT: Final = re.compile("Socket closed|handshake|[Vv]erification [Cc]heck failed")
# The cause as OpenSSL names it.
_TLS_CAUSE: Final = re.compile(r"OPENSSL_internal:([A-Z_]+)")

Answer = TypeVar("Answer")
OnBreak: TypeAlias = Callable[[str], None]


class ServerUnreachable(Exception):  # noqa: N818 (a temporary state rather than an error)
    """No Heddle server answered; the message says what to do."""


class Caller:
    """Makes the calls of `HeddleClient`, and explains why a call failed."""

    def __init__(self, address: str, patience: float, token: Callable[[], str] = lambda: "") -> None:
        """`token` returns what the calls are signed with now; empty: there is none yet."""
        self._address = address
        self._patience = patience
        self._token = token

    async def watch(
        self,
        begin: Callable[[int], grpc.aio.UnaryStreamCall[Any, Any]],
        is_over: Callable[[int], Awaitable[bool]],
        seen: int,
        on_break: OnBreak | None,
        sequence_of: Callable[[Any], int] = lambda response: response.resume_sequence,
    ) -> AsyncGenerator[Any, None]:
        backoff = Backoff(FIRST_PAUSE)
        while True:
            token = self._token()
            call = begin(seen)
            try:
                async for response in call:
                    backoff.reset()
                    seen = sequence_of(response)
                    yield response
                # A draining server ends the stream with OK, like a finished run.
                if await is_over(seen):
                    return
                why = "the server ended the stream"
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
                why = self._cause_of_break(error, token)
            except ServerUnreachable as error:
                why = str(error)
            except errors.HeddleError as error:
                if error.code is not grpc.StatusCode.UNAVAILABLE:
                    raise
                why = error.message
            finally:
                call.cancel()
            if on_break is not None:
                on_break(why)
            await backoff.wait()

    def _cause_of_break(self, error: grpc.aio.AioRpcError | asyncio.CancelledError, token: str) -> str:
        """Returns why the call broke; raises if a retry cannot help. `token` is that of before the call."""
        if isinstance(error, asyncio.CancelledError):
            # grpc.aio also raises it for the status CANCELLED of a server.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise error
            return "the server cancelled the call"
        refusal = errors.from_rpc(error)
        if (
            refusal is not None
            and refusal.code is grpc.StatusCode.UNAUTHENTICATED
            and not token
            and self._token()
        ):
            # A server that starts for the first time has just created it.
            return refusal.message
        if refusal is not None and refusal.code is not grpc.StatusCode.UNAVAILABLE:
            raise refusal from error
        if refusal is None and error.code() not in BREAKS:
            raise ServerUnreachable(
                f"the server at {self._address} is not a Heddle server of this version"
                f" ({error.code().name}: {error.details()}); set HEDDLE_SCHEDULER to the right address"
            ) from error
        return refusal.message if refusal is not None else _last_cause(error.details() or "")

    async def mutate(
        self,
        method: Callable[..., Awaitable[Answer]],
        request: Any,
        *,
        timeout: float = CALL_TIMEOUT,
    ) -> Answer:
        request.request_id = request.request_id or uuid.uuid4().hex
        return await self.call(method, request, timeout=timeout)

    async def call(
        self, method: Callable[..., Awaitable[Answer]], request: Any, *, timeout: float = CALL_TIMEOUT
    ) -> Answer:
        async def once() -> Answer:
            return await method(request, timeout=timeout)

        return await self._retried(once)

    async def collect(
        self, method: Callable[..., grpc.aio.UnaryStreamCall[Any, Answer]], request: Any
    ) -> list[Answer]:
        async def once() -> list[Answer]:
            return [part async for part in method(request, timeout=CALL_TIMEOUT)]

        return await self._retried(once)

    async def stream(
        self, begin: Callable[[], grpc.aio.StreamStreamCall[Any, Any]]
    ) -> AsyncGenerator[Any, None]:
        """Yields the responses of a call that is never repeated; ends the call when it is closed."""
        token = self._token()
        call = begin()
        try:
            async for response in call:
                yield response
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            raise self._given_up(error, self._cause_of_break(error, token)) from None
        finally:
            call.cancel()

    async def _retried(self, once: Callable[[], Awaitable[Answer]]) -> Answer:
        give_up = time.monotonic() + self._patience
        backoff = Backoff(FIRST_PAUSE)
        while True:
            token = self._token()
            try:
                return await once()
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
                why = self._cause_of_break(error, token)
                pause = backoff.seconds()
                if time.monotonic() + pause > give_up:
                    raise self._given_up(error, why) from None
            await asyncio.sleep(pause)

    def _given_up(self, error: grpc.aio.AioRpcError | asyncio.CancelledError, why: str) -> Exception:
        refusal = None
        if isinstance(error, grpc.aio.AioRpcError):
            refusal = errors.from_rpc(error)
            if refusal is None and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return ServerUnreachable(
                    f"the server at {self._address} did not answer in time; the request may still"
                    " be in progress there: repeat it to wait for the result"
                )
            if refusal is None and _DISAGREEMENT.search(error.details() or ""):
                return ServerUnreachable(
                    f"the server at {self._address} is not a Heddle server, or expects other certificates ({why});"
                    " set HEDDLE_TLS_CERT, HEDDLE_TLS_KEY and HEDDLE_TLS_CA to match the server, or"
                    " HEDDLE_SCHEDULER to another one"
                )
        return refusal or ServerUnreachable(
            f"no Heddle server answers at {self._address} ({why});"
            " start one with `heddle up`, or set HEDDLE_SCHEDULER"
        )


def _last_cause(details: str) -> str:
    """Returns the innermost cause from the chain that gRPC reports."""
    in_tls = _TLS_CAUSE.search(details)
    return in_tls[1] if in_tls else details.removesuffix(".").rpartition(": ")[2]
