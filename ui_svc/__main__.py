"""Serves the web app: `python -m ui_svc`."""

import asyncio
import os
import signal
import socket
import sys
from typing import Final

from heddle import logs
from heddle.config import DEFAULT_PORT, ConfigError, Settings
from heddle.imports import without_collections, without_modules
from heddle.rpc import service_process
from heddle.urls import is_loopback

# The address of the web app, unless HEDDLE_LISTEN is set.
DEFAULT_LISTEN: Final = f"127.0.0.1:{DEFAULT_PORT + 3}"

# Seconds that open requests have to finish.
DRAIN: Final = 2


def main() -> int:
    """Serves until a signal arrives; returns the exit code."""
    try:
        settings = Settings.read()
        logs.configure(settings, "ui")
        service_process.protect(settings)
    except ConfigError as error:
        return _complain(str(error), 2)
    address = settings.listen or DEFAULT_LISTEN
    if not (settings.ui_behind_proxy or is_loopback(address.rpartition(":")[0].strip("[]"))):
        return _complain(
            f"HEDDLE_LISTEN is {address}, which other machines can reach without TLS. Listen on 127.0.0.1, or set"
            " HEDDLE_UI_BEHIND_PROXY=true if a proxy in front of the web app provides TLS.",
            2,
        )
    # Nothing is served yet, so nothing has to end in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        listener = _listen(address)
    except OSError as error:
        return _complain(
            f"cannot listen on {address} ({error.strerror}). Stop the program that has that port,"
            " or choose other ports (heddle up --ports BASE).",
            1,
        )
    try:
        asyncio.run(_serve(settings, listener))
    except ConfigError as error:
        return _complain(str(error), 2)
    return 0


async def _serve(settings: Settings, listener: socket.socket) -> None:
    # An invalid setting or a port in use is reported before these imports, which take a second.
    # aiohttp: the server of sockets imports it for its client. rich: structlog imports it to draw tracebacks.
    with without_collections(), without_modules("aiohttp", "rich"):
        import structlog  # noqa: PLC0415 (see above)
        import uvicorn  # noqa: PLC0415 (see above)

        from heddle.rpc.metrics import exposed  # noqa: PLC0415 (see above)
        from ui_svc.app import build  # noqa: PLC0415 (see above)

    config = uvicorn.Config(
        build(settings),
        log_config=None,
        log_level="warning",
        access_log=False,
        ws="wsproto",
        timeout_graceful_shutdown=DRAIN,
    )
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    server = uvicorn.Server(config)
    # The server stops on these signals and then raises them again; an orderly stop is not a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None if server.should_exit else os._exit(0))
    with exposed(settings.metrics, settings.tls):
        log.info("serving", address=settings.listen or DEFAULT_LISTEN)
        await server.serve(sockets=[listener])
    log.info("stopped")


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=1024)


def _complain(problem: str, code: int) -> int:
    print(f"heddle: {problem}", file=sys.stderr)  # noqa: T201 (an expected error, reported as plain text)
    return code


if __name__ == "__main__":
    sys.exit(main())
