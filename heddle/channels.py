"""Client channels, and the options that client and server share."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from heddle.config import Tls
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


def _signed(details: Any, token: str) -> Any:
    if not token:
        return details
    metadata = grpc.aio.Metadata(*(details.metadata or ()), ("authorization", f"Bearer {token}"))
    return details._replace(metadata=metadata)


def open_channel(
    address: str,
    tls: Tls | None = None,
    token: Callable[[], str] | None = None,
    *,
    ahead: bool = True,
) -> grpc.aio.Channel:
    """Opens a channel to `address`; it connects on the first call, and reconnects automatically.

    `address` is host:port, or unix:PATH, where `tls` does not apply. `token` returns the token
    with which a call signs in; empty: none. With `ahead`, gRPC receives up to 4 MiB of each stream before
    they are read; without, about 64 KiB, which bounds the memory of many streams with a slow reader.
    """
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
    )
    interceptors = [_SignUnary(token), _SignStream(token)] if token else []
    if tls is None or is_socket(address):
        return grpc.aio.insecure_channel(address, options, interceptors=interceptors)
    credentials = grpc.ssl_channel_credentials(
        tls.authority.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes()
    )
    return grpc.aio.secure_channel(address, credentials, options, interceptors=interceptors)
