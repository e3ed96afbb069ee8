"""Metrics of every service in the format of Prometheus, on a port of their own.

Each module defines the metrics of what it measures in prometheus_client's default registry, which also has those
of the process. docs/operations.md lists all of them. No label is the name of a run, epic, task or session, so the
number of time series does not grow with the work.
"""

import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import structlog
from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, start_http_server

from heddle.config import ConfigError, Tls
from heddle.rpc.rpc_handlers import wrapped
from heddle.urls import is_loopback

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# The names and labels are those of the gRPC ecosystem's middleware.
_HANDLED: Final = Counter(
    "grpc_server_handled",
    "RPCs that ended, by their status code.",
    ["grpc_type", "grpc_service", "grpc_method", "grpc_code"],
)
_SECONDS: Final = Histogram(
    "grpc_server_handling_seconds",
    "Duration of unary RPCs.",
    ["grpc_service", "grpc_method"],
)

_DISK_FREE: Final = Gauge("heddle_disk_free_bytes", "Free bytes on the disk of HEDDLE_HOME.")

_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


@contextmanager
def exposed(address: str, tls: Tls | None) -> Iterator[str]:
    """Serves the metrics at http://ADDRESS/metrics inside the block; yields the address with its actual port.

    An empty address serves nothing. With TLS, clients must present a certificate of the same authority. Raises
    ConfigError if other machines could read them without TLS, or if the address cannot be used.
    """
    if not address:
        yield ""
        return
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if tls is None and not is_loopback(host):
        raise ConfigError(
            f"HEDDLE_METRICS is {address}, which other machines can reach, and TLS is off. Set HEDDLE_TLS_CERT,"
            " HEDDLE_TLS_KEY and HEDDLE_TLS_CA, or use 127.0.0.1"
        )
    files = (
        {}
        if tls is None
        else {
            "certfile": str(tls.certificate),
            "keyfile": str(tls.key),
            "client_cafile": str(tls.authority),
            "client_auth_required": True,
        }
    )
    # They would double the number of series, and Prometheus does not need them.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
    try:
        server, thread = start_http_server(int(port), host, **files)  # type: ignore[arg-type]  # str and bool values
    except OSError as error:
        raise ConfigError(
            f"HEDDLE_METRICS is {address}, where nothing can listen: {error.strerror or error}"
        ) from error
    found = f"{address.rpartition(':')[0]}:{server.server_port}"
    log.info("metrics_served", address=found)
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def show_disk(home: Path) -> None:
    """Shows the free bytes of the disk of `home`, which exists."""
    _DISK_FREE.set_function(lambda: shutil.disk_usage(home).free)


class CallMetrics(grpc.aio.ServerInterceptor):
    """Counts and times the RPCs of our services. It is the outermost interceptor, so it sees the final status."""

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        handler = await continuation(handler_call_details)
        # Others are unknown methods, which would be unbounded labels, and the services of gRPC itself.
        if handler is None or not handler_call_details.method.startswith("/heddle."):
            return handler
        _, service, method = handler_call_details.method.split("/")
        return wrapped(
            handler,
            lambda call: _unary(call, service, method),
            lambda call: _streaming(call, service, method),
        )


def _unary(call: Any, service: str, method: str) -> Any:
    seconds = _SECONDS.labels(service, method)

    async def measured(request: Any, context: Any) -> Any:
        begun = time.monotonic()
        try:
            return await call(request, context)
        finally:
            seconds.observe(time.monotonic() - begun)
            _HANDLED.labels("unary", service, method, _code(context)).inc()

    return measured


def _streaming(call: Any, service: str, method: str) -> Any:
    async def measured(request: Any, context: Any) -> AsyncIterator[Any]:
        # Unlike the end of this generator, it is certain to come, also if the client leaves.
        context.add_done_callback(
            lambda ended: _HANDLED.labels("server_stream", service, method, _code(ended)).inc()
        )
        async for response in call(request, context):
            yield response

    return measured


def _code(context: Any) -> str:
    """Returns the name of the call's status code."""
    if context.cancelled():
        return "CANCELLED"
    code = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else _CODES.get(code or 0, "UNKNOWN")
