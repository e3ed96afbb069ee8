"""Client channels, and the options that client and server share."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self, cast

import grpc

from heddle.config import Tls
from heddle.rpc.tls_files import TlsFiles
from heddle.sockets import is_socket

# Streams keep their messages near 256 KiB; this is the limit of any message.
MAX_MESSAGE_BYTES: Final = 4 << 20

# Must be equal on both sides, or the server answers pings with GOAWAY "too_many_pings".
KEEPALIVE: Final = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


# What a header cannot contain.
_UNSENDABLE: Final = re.compile(r"[^ -~]")


class _SignUnary(grpc.aio.UnaryUnaryClientInterceptor):
    """Sends a token with each call that has one response."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(_signed(client_call_details, self._token()), request)


class _SignStream(grpc.aio.UnaryStreamClientInterceptor):
    """Sends a token with each call that streams. gRPC registers an interceptor for one kind of call only."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    async def intercept_unary_stream(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(_signed(client_call_details, self._token()), request)


class _SignBothWays(grpc.aio.StreamStreamClientInterceptor):
    """Sends a token with each call that streams in both directions."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    async def intercept_stream_stream(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(_signed(client_call_details, self._token()), request_iterator)


def _signed(details: Any, token: str) -> Any:
    if not token:
        return details
    # gRPC fails on any other character, without saying why. Such a token is none, and the scheduler refuses its escapes.
    sendable = _UNSENDABLE.sub(lambda found: ascii(found[0])[1:-1], token)
    metadata = grpc.aio.Metadata(*(details.metadata or ()), ("authorization", f"Bearer {sendable}"))
    return details._replace(metadata=metadata)


def open_channel(
    address: str,
    tls: Tls | None = None,
    token: Callable[[], str] | None = None,
    *,
    ahead: bool = True,
    tls_name: str = "",
) -> grpc.aio.Channel:
    """Opens a channel to `address`; it connects on the first call, and reconnects automatically.

    `address` is host:port, or unix:PATH, where `tls` does not apply. `token` returns the token
    with which a call signs in; empty: none. If the files of `tls` are replaced, later calls use the new ones.
    With `ahead`, gRPC receives up to 4 MiB of each stream before they are read; without, about 64 KiB, which
    bounds the memory of many streams with a slow reader. `tls_name` is the name for which the server's certificate
    must be valid; empty: the host of the address.
    """
    if tls is None or is_socket(address):
        return _open(address, None, token, ahead=ahead)
    return cast("grpc.aio.Channel", _RenewedChannel(address, tls, token, ahead=ahead, tls_name=tls_name))


def _open(
    address: str, tls: Tls | None, token: Callable[[], str] | None, *, ahead: bool, tls_name: str = ""
) -> grpc.aio.Channel:
    options = (
        *KEEPALIVE,
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # gRPC's default backoff grows to two minutes: too long for services that restart within a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Despite its name, the timeout of one attempt: a busy machine needs more than the pause between attempts.
        ("grpc.min_reconnect_backoff_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Loopback and cluster traffic does not go through a user's proxy.
        ("grpc.enable_http_proxy", 0),
        ("grpc.http2.bdp_probe", int(ahead)),
        *([("grpc.ssl_target_name_override", tls_name)] if tls_name else []),
    )
    interceptors = [_SignUnary(token), _SignStream(token), _SignBothWays(token)] if token else []
    if tls is None:
        return grpc.aio.insecure_channel(address, options, interceptors=interceptors)
    credentials = grpc.ssl_channel_credentials(
        tls.authority.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes()
    )
    return grpc.aio.secure_channel(address, credentials, options, interceptors=interceptors)


# Seconds between two looks at the files of TLS, and those that calls get on the connection with replaced ones.
LOOK: Final = 1.0
RETIRE: Final = 3600.0


class _RenewedChannel:
    """A channel with TLS that opens another one when its certificate is renewed: gRPC reads the files once.

    It has what stubs and clients use of a channel. Calls that are open continue on the old connection.
    """

    def __init__(
        self, address: str, tls: Tls, token: Callable[[], str] | None, *, ahead: bool, tls_name: str
    ) -> None:
        self._address = address
        self._ahead = ahead
        self._tls_name = tls_name
        self._token = token
        self._files = TlsFiles(tls)
        self._looked = time.monotonic()
        self._channel = self._connection(tls)
        # Channels with replaced certificates, until their calls have ended.
        self._retiring: dict[grpc.aio.Channel, asyncio.Task[None]] = {}

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        return self._calling("unary_unary", arguments, options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        return self._calling("unary_stream", arguments, options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        return self._calling("stream_unary", arguments, options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        return self._calling("stream_stream", arguments, options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def channel_ready(self) -> None:
        await self._present().channel_ready()

    async def close(self, grace: float | None = None) -> None:
        for channel, retiring in list(self._retiring.items()):
            retiring.cancel()
            await channel.close(grace)
        await self._channel.close(grace)

    def _calling(self, kind: str, arguments: Any, options: Any) -> Callable[..., Any]:
        made: tuple[grpc.aio.Channel, Any] | None = None

        def call(*request: Any, **more: Any) -> Any:
            nonlocal made
            channel = self._present()
            if made is None or made[0] is not channel:
                made = (channel, getattr(channel, kind)(*arguments, **options))
            return made[1](*request, **more)

        return call

    def _present(self) -> grpc.aio.Channel:
        """Returns the channel for a new call."""
        if time.monotonic() - self._looked < LOOK:
            return self._channel
        self._looked = time.monotonic()
        if self._files.renewed():
            old, self._channel = self._channel, self._connection(self._files.tls)
            self._retiring[old] = asyncio.create_task(self._retire(old))
        return self._channel

    def _connection(self, tls: Tls) -> grpc.aio.Channel:
        return _open(self._address, tls, self._token, ahead=self._ahead, tls_name=self._tls_name)

    async def _retire(self, channel: grpc.aio.Channel) -> None:
        # New calls no longer use it. After this time, calls that resume by themselves, such as watches, are cut off.
        await channel.close(RETIRE)
        del self._retiring[channel]
