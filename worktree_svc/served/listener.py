"""Listens for git's HTTP requests of other workers, in a thread of its own; without HEDDLE_GIT_LISTEN, there is none."""

import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from heddle.config import ConfigError, Settings, Tls
from heddle.rpc.serving import AddressInUseError
from heddle.rpc.tls_files import TlsFiles
from heddle.urls import is_loopback

if TYPE_CHECKING:
    import uvicorn

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Hosts that mean every address of a machine.
_ANY: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (compared, not bound)

# Seconds between two looks whether the certificates were replaced.
_LOOK: Final = 30

# Connections at a time; further ones are answered with 503.
_CONNECTIONS: Final = 200

# Seconds that open requests get to end when the service ends.
_GRACE: Final = 5


class GitListener:
    """An HTTP server. `url` is where other workers reach it; empty: no other worker needs the projects of this one."""

    def __init__(self, settings: Settings, application: Any) -> None:
        """Binds the address; raises ConfigError if others could listen in, and AddressInUseError."""
        self.url = ""
        self._socket: socket.socket | None = None
        if settings.git_listen:
            host, self.url = _checked(settings)
            self._socket = _bound(settings.git_listen, host)
        self._application = application
        self._tls = settings.tls
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to answer, if there is an address to listen on."""
        if self._socket is None:
            return
        # Only a worker that serves its projects needs it.
        import uvicorn  # noqa: PLC0415 (see above)

        config = uvicorn.Config(
            self._application,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE,
            timeout_notify=_LOOK,
            **_tls_options(self._tls),
        )
        config.load()
        if self._tls and config.ssl:
            config.callback_notify = _Reloading(self._tls, config.ssl)
        server = self._server = uvicorn.Server(config)
        # Not in the main thread, so that it leaves the signals of the service alone.
        self._thread = threading.Thread(
            target=server.run, args=([self._socket],), name="git-http", daemon=True
        )
        self._thread.start()
        log.info("projects_served", url=self.url)

    def close(self) -> None:
        """Stops; open requests get a moment to end. Idempotent."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join()
        if self._socket:
            self._socket.close()


class _Reloading:
    """Makes a server use certificates that were replaced."""

    def __init__(self, tls: Tls, context: ssl.SSLContext) -> None:
        self._files = TlsFiles(tls)
        self._context = context

    async def __call__(self) -> None:
        if not self._files.renewed():
            return
        tls = self._files.tls
        try:
            self._context.load_cert_chain(tls.certificate, tls.key)
            # An earlier authority counts until the next start. It admits to a connection only; the token decides.
            self._context.load_verify_locations(tls.authority)
        except OSError as error:
            log.warning("certificates_not_usable", error=str(error))


def _tls_options(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    files: dict[str, Path] = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    return {**files, "ssl_ca_certs": str(tls.authority), "ssl_cert_reqs": ssl.CERT_REQUIRED}


def _checked(settings: Settings) -> tuple[str, str]:
    """Returns the host to listen on and the URL for others; raises ConfigError."""
    listen, advertised = settings.git_listen, settings.git_advertise or settings.git_listen
    host = listen.rpartition(":")[0].strip("[]")
    if settings.tls is None and not is_loopback(host):
        raise ConfigError(
            f"HEDDLE_GIT_LISTEN is {listen}, which other machines can reach, and TLS is off. Set HEDDLE_TLS_CERT,"
            " HEDDLE_TLS_KEY and HEDDLE_TLS_CA, or use 127.0.0.1"
        )
    if advertised.rpartition(":")[0].strip("[]") in _ANY:
        raise ConfigError(
            f"HEDDLE_GIT_LISTEN is {listen}, which is every address of this machine. Set HEDDLE_GIT_ADVERTISE to the"
            " host:port under which other workers reach it"
        )
    return host, f"{'https' if settings.tls else 'http'}://{advertised}"


def _bound(address: str, host: str) -> socket.socket:
    port = int(address.rpartition(":")[2])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise AddressInUseError(
            f"HEDDLE_GIT_LISTEN is {address}, where nothing can listen: {error.strerror or error}. Stop the program that"
            " uses that port, or choose another one"
        ) from error
