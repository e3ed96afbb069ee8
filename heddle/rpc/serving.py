"""The gRPC server of every service: health, reflection, TLS, errors, drain.

A service is ready when grpc.health.v1 reports SERVING. The first SIGTERM or SIGINT
drains: health changes to NOT_SERVING, `drain` is awaited, and open calls get a moment
to end. The second ends the process at once.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from heddle import errors, pb, sockets
from heddle.config import ConfigError, Tls
from heddle.identity import access
from heddle.identity.guard import Guard, GuardInterceptor
from heddle.rpc.call_limits import CallLimits
from heddle.rpc.channels import KEEPALIVE, MAX_MESSAGE_BYTES
from heddle.rpc.metrics import CallMetrics, exposed
from heddle.rpc.rpc_handlers import wrapped
from heddle.rpc.tls_files import TlsFiles
from heddle.urls import is_loopback

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds that open calls get to end after a drain.
CLOSE_GRACE: Final = 1.0

# Calls of one connection at a time, also those of health, which need no caller; the client sends more when one has ended.
CONNECTION_STREAMS: Final = 1_000

# Exit code after a second signal.
FORCED: Final = 130


class AddressInUseError(Exception):
    """The server cannot listen on the address; the message says what to do."""


async def _nothing() -> None:
    """The default `start` and `drain` of a service."""


@dataclass(frozen=True)
class Service:
    """The gRPC services of one process.

    `names` are full gRPC service names; `start` is awaited once the server
    listens, `drain` when it must end.
    """

    names: Sequence[str]
    register: Callable[[grpc.aio.Server], None]
    guard: Guard
    start: Callable[[], Awaitable[None]] = field(default=_nothing)
    drain: Callable[[], Awaitable[None]] = field(default=_nothing)


class Server:
    """A listening gRPC server of one `Service`. `address` has the actual port, even if port 0 was requested."""

    def __init__(self, service: Service, address: str, tls: Tls | None = None) -> None:
        self._service = service
        self._health = health.aio.HealthServicer()
        # Workers have one caller, the scheduler.
        limits = CallLimits() if service.guard.takes_tokens else None
        self._server = grpc.aio.server(
            interceptors=[CallMetrics(), ErrorInterceptor(), GuardInterceptor(service.guard, limits)],
            options=[
                *KEEPALIVE,
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_concurrent_streams", CONNECTION_STREAMS),
                # With it, two services on one port would silently share its calls.
                ("grpc.so_reuseport", 0),
            ],
        )
        service.register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        shown = [*service.names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(shown, self._server)
        self.address = self._listen(address, tls)

    def _listen(self, address: str, tls: Tls | None) -> str:
        check_listener(address, tls, self._service.guard)
        try:
            if sockets.is_socket(address):
                sockets.prepare(address)
                self._server.add_insecure_port(address)
                return address
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError as error:
            raise AddressInUseError(
                f"cannot listen on {address}: another program uses that port, or the host is not"
                " on this machine. Stop that program, or choose other ports (heddle up --ports BASE)."
            ) from error
        return f"{address.rpartition(':')[0]}:{port}"

    async def start(self) -> None:
        """Starts serving; health reports SERVING once the service's own start is done."""
        # Without it, the library reports SERVING for the server as a whole from the beginning.
        await self._report(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        await self._service.start()
        await self._report(health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", address=self.address)

    async def _report(self, status: int) -> None:
        for name in ("", *self._service.names):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Drains and closes. Idempotent."""
        await self._health.enter_graceful_shutdown()
        await self._service.drain()
        await self._server.stop(CLOSE_GRACE)
        log.info("stopped")


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    """Returns credentials for mutual TLS that follow the files."""
    files = TlsFiles(tls)

    def fresh() -> grpc.ServerCertificateConfiguration | None:
        """Called at each handshake; None keeps the present certificates."""
        try:
            return _certificates(tls) if files.renewed() else None
        except OSError as error:
            # Replaced again between both reads; the next handshake looks again.
            log.warning("certificates_not_usable", error=str(error))
            return None

    return grpc.dynamic_ssl_server_credentials(
        _certificates(tls),
        fresh,  # type: ignore[arg-type]  # the stubs lack that None keeps the present ones
        require_client_authentication=True,
    )


def _certificates(tls: Tls) -> grpc.ServerCertificateConfiguration:
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    return grpc.ssl_server_certificate_configuration([pair], tls.authority.read_bytes())


def check_listener(address: str, tls: Tls | None, guard: Guard) -> None:
    """Raises ConfigError if callers at `address` could not be identified, or could be overheard."""
    if sockets.is_socket(address) or tls is not None:
        return
    host = address.rpartition(":")[0].strip("[]")
    if not is_loopback(host):
        raise ConfigError(
            f"HEDDLE_LISTEN is {address}, which other machines can reach, and TLS is off. Set HEDDLE_TLS_CERT,"
            " HEDDLE_TLS_KEY and HEDDLE_TLS_CA, or listen on 127.0.0.1"
        )
    if not guard.takes_tokens:
        raise ConfigError(
            f"HEDDLE_LISTEN is {address}, which any program on this machine can reach, and TLS is off. Leave it out,"
            " so that the service listens on a Unix socket, or set HEDDLE_TLS_CERT, HEDDLE_TLS_KEY and HEDDLE_TLS_CA"
        )


async def serve(service: Service, address: str, tls: Tls | None = None, *, metrics: str = "") -> None:
    """Serves until a signal; raises AddressInUseError if it cannot listen, and ConfigError.

    `metrics` is the host:port of the service's metrics; empty: it serves none.
    """
    with exposed(metrics, tls):
        await _serve(Server(service, address, tls))


async def _serve(server: Server) -> None:
    ending = asyncio.Event()

    def on_signal() -> None:
        if ending.is_set():
            os._exit(FORCED)
        ending.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    starting = asyncio.create_task(server.start())
    ended = asyncio.create_task(ending.wait())
    # A start may wait for long, such as for a database; a signal ends that too.
    await asyncio.wait([starting, ended], return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        await starting
        await ended
    starting.cancel()
    log.info("draining")
    await asyncio.wait([starting])
    await server.stop()


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Converts exceptions of servicers to statuses: a HeddleError to its own, any other to INTERNAL."""

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        handler = await continuation(handler_call_details)
        # None: no such method; gRPC answers UNIMPLEMENTED. Health raises none of our errors.
        if handler is None or handler_call_details.method.startswith(access.OPEN_SERVICE):
            return handler
        method = handler_call_details.method
        return wrapped(handler, lambda call: _unary(call, method), lambda call: _streaming(call, method))


def _unary(call: Any, method: str) -> Any:
    async def translated(request: Any, context: Any) -> Any:
        try:
            return await call(request, context)
        except Exception as error:  # noqa: BLE001 (the one place that converts exceptions to statuses)
            await _abort(context, error, method)

    return translated


def _streaming(call: Any, method: str) -> Any:
    async def translated(request: Any, context: Any) -> Any:
        try:
            async for response in call(request, context):
                yield response
        except Exception as error:  # noqa: BLE001 (the one place that converts exceptions to statuses)
            await _abort(context, error, method)

    return translated


async def _abort(context: Any, error: Exception, method: str) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, OSError) and errors.lacks_descriptors(error):
        error = errors.no_descriptors(error)
    if not isinstance(error, errors.HeddleError):
        log.error("defect", method=method, exc_info=error)
        error = errors.HeddleError(
            pb.ERROR_REASON_INTERNAL, f"{method} failed: {type(error).__name__}; see the service's log"
        )
    await context.abort_with_status(rpc_status.to_status(errors.to_status(error)))
