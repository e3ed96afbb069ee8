"""Settings of every service and client, read once from the environment.

Each field names its variable; docs/configuration.md lists them for operators.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

DEFAULT_PORT = 7400

# Outside the ranges that kernels and Kubernetes assign automatically.
DEFAULT_PORT_RANGE = "20000-29999"

_TLS_NAMES = ("HEDDLE_TLS_CERT", "HEDDLE_TLS_KEY", "HEDDLE_TLS_CA")


class ConfigError(Exception):
    """A setting is malformed; the message names the variable and its valid values."""


@dataclass(frozen=True)
class Tls:
    """Paths of PEM files. Both sides must present a certificate issued by the authority (mutual TLS)."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class WorkerAddress:
    """The addresses of one worker's two services, each as host:port."""

    name: str
    worktree: str
    agent: str


@dataclass(frozen=True)
class Settings:
    """The settings from the environment. Absent variables have the defaults of the embedded mode."""

    # HEDDLE_HOME: the data folder, which contains everything that Heddle writes.
    home: Path
    # HEDDLE_LISTEN: host:port of the service that reads these settings.
    listen: str
    # HEDDLE_SCHEDULER: host:port that clients and ui_svc call.
    scheduler: str
    # HEDDLE_DATABASE_URL: a SQLAlchemy URL.
    database_url: str
    # HEDDLE_WORKERS: name=worktree_host:port+agent_host:port, separated by commas.
    workers: tuple[WorkerAddress, ...]
    # HEDDLE_WORKER_NAME: the name of this worker in events.
    worker_name: str
    # HEDDLE_SLOTS: sessions that a worker runs at the same time.
    slots: int
    # HEDDLE_MIN_FREE_BYTES: free bytes below which a disk accepts no new work.
    min_free_bytes: int
    # HEDDLE_POOL: worktrees that are kept ready for each large project; 0: none.
    pool: int
    # HEDDLE_FILTERS: filters in a project's .git/config that may run as now defined, separated by commas;
    # none: no such filter runs. Absent: the filters that existed when the project was first used may run.
    filters: tuple[str, ...]
    # HEDDLE_PORT_RANGE: FIRST-LAST, the range of the ports of epics.
    port_range: tuple[int, int]
    # HEDDLE_KEEP_WORKTREES: days to keep worktrees that may still be of interest after their run.
    keep_worktrees: float
    # HEDDLE_KEEP_LOGS: days to keep the logs of runs and sessions after their run.
    keep_logs: float
    # HEDDLE_PROJECT_BUDGET_USD: the maximum total cost of all runs on one repository; 0: no limit.
    project_budget_usd: float
    # HEDDLE_PARK_AFTER: seconds after which a session that waits for the operator may lose its slot.
    park_after: float
    # HEDDLE_STOP_GRACE: seconds between SIGTERM and SIGKILL of an agent.
    stop_grace: float
    # HEDDLE_DRAIN: seconds that running sessions get to finish when their worker is shut down.
    drain: float
    # HEDDLE_LEASE: seconds for which a worker's sessions continue without a leader; 0: no limit.
    lease: float
    # HEDDLE_AGENT_MEMORY: bytes that an agent and its descendants may use in total; 0: no limit.
    agent_memory: int
    # HEDDLE_SESSION_TEXT: bytes of agent output that a session stores; 0: no limit.
    session_text: int
    # HEDDLE_AGENT_ENV: names of variables that agents may inherit, separated by commas.
    agent_env: tuple[str, ...]
    # HEDDLE_SANDBOX: auto, required or off: whether agents run in a bubblewrap sandbox.
    sandbox: str
    # HEDDLE_SANDBOX_WRITABLE: additional paths that agents may write, separated by commas.
    sandbox_writable: tuple[Path, ...]
    # HEDDLE_LOG_FORMAT: console or json.
    log_format: str
    # HEDDLE_LOG_LEVEL: debug, info, warning or error.
    log_level: str
    # HEDDLE_TLS_CERT, HEDDLE_TLS_KEY, HEDDLE_TLS_CA: all or none.
    tls: Tls | None = field(default=None)

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Returns the settings; raises ConfigError that names the first malformed variable."""
        home = Path(environ.get("HEDDLE_HOME") or Path.home() / ".heddle").expanduser().absolute()
        local = f"local=127.0.0.1:{DEFAULT_PORT + 1}+127.0.0.1:{DEFAULT_PORT + 2}"
        return cls(
            home=home,
            listen=_address(environ, "HEDDLE_LISTEN", f"127.0.0.1:{DEFAULT_PORT}"),
            scheduler=_address(environ, "HEDDLE_SCHEDULER", f"127.0.0.1:{DEFAULT_PORT}"),
            database_url=environ.get("HEDDLE_DATABASE_URL") or f"sqlite:///{home / 'heddle.db'}",
            workers=_workers(environ.get("HEDDLE_WORKERS") or local),
            worker_name=environ.get("HEDDLE_WORKER_NAME") or "local",
            slots=int(_number(environ, "HEDDLE_SLOTS", 8, minimum=1)),
            min_free_bytes=int(_number(environ, "HEDDLE_MIN_FREE_BYTES", 512 << 20, minimum=0)),
            pool=int(_number(environ, "HEDDLE_POOL", 1, minimum=0)),
            filters=tuple(filter(None, (environ.get("HEDDLE_FILTERS") or "").split(","))),
            port_range=_port_range(environ),
            keep_worktrees=_number(environ, "HEDDLE_KEEP_WORKTREES", 14, minimum=0),
            keep_logs=_number(environ, "HEDDLE_KEEP_LOGS", 90, minimum=0),
            project_budget_usd=_number(environ, "HEDDLE_PROJECT_BUDGET_USD", 0, minimum=0),
            park_after=_number(environ, "HEDDLE_PARK_AFTER", 20, minimum=0),
            stop_grace=_number(environ, "HEDDLE_STOP_GRACE", 5, minimum=0),
            drain=_number(environ, "HEDDLE_DRAIN", 0, minimum=0),
            lease=_number(environ, "HEDDLE_LEASE", 3600, minimum=0),
            agent_memory=int(_number(environ, "HEDDLE_AGENT_MEMORY", 0, minimum=0)),
            session_text=int(_number(environ, "HEDDLE_SESSION_TEXT", 64 << 20, minimum=0)),
            agent_env=tuple(filter(None, (environ.get("HEDDLE_AGENT_ENV") or "").split(","))),
            sandbox=_choice(environ, "HEDDLE_SANDBOX", "auto", "required", "off"),
            sandbox_writable=_paths(environ, "HEDDLE_SANDBOX_WRITABLE"),
            log_format=_choice(environ, "HEDDLE_LOG_FORMAT", "console", "json"),
            log_level=_choice(environ, "HEDDLE_LOG_LEVEL", "info", "debug", "warning", "error"),
            tls=_tls(environ),
        )


def _address(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name) or default
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{name} is {value!r}; it takes host:port, as 127.0.0.1:7400")
    return value


def _workers(value: str) -> tuple[WorkerAddress, ...]:
    workers = []
    for entry in value.split(","):
        name, _, addresses = entry.strip().partition("=")
        worktree, _, agent = addresses.partition("+")
        if not (name and worktree and agent):
            raise ConfigError(
                f"HEDDLE_WORKERS has {entry!r}; each entry is name=worktree_host:port+agent_host:port"
            )
        workers.append(WorkerAddress(name, worktree, agent))
    return tuple(workers)


def _number(environ: Mapping[str, str], name: str, default: float, *, minimum: float) -> float:
    value = environ.get(name)
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        number = minimum - 1
    if not number >= minimum:
        raise ConfigError(f"{name} is {value!r}; it takes a number of at least {minimum:g}")
    return number


def _port_range(environ: Mapping[str, str]) -> tuple[int, int]:
    value = environ.get("HEDDLE_PORT_RANGE") or DEFAULT_PORT_RANGE
    first, _, last = value.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) <= 65535):
        raise ConfigError(
            f"HEDDLE_PORT_RANGE is {value!r}; it takes FIRST-LAST from 1024 to 65535, as {DEFAULT_PORT_RANGE}"
        )
    return int(first), int(last)


def _choice(environ: Mapping[str, str], name: str, *choices: str) -> str:
    value = environ.get(name) or choices[0]
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; it takes one of {', '.join(choices)}")
    return value


def _paths(environ: Mapping[str, str], name: str) -> tuple[Path, ...]:
    paths = [Path(part.strip()).expanduser() for part in (environ.get(name) or "").split(",") if part.strip()]
    for path in paths:
        if not path.is_absolute():
            raise ConfigError(f"{name} has {str(path)!r}; it takes absolute paths, separated by commas")
    return tuple(paths)


def _tls(environ: Mapping[str, str]) -> Tls | None:
    paths = [Path(environ[name]) for name in _TLS_NAMES if environ.get(name)]
    if not paths:
        return None
    if len(paths) < len(_TLS_NAMES):
        raise ConfigError(f"set all of {', '.join(_TLS_NAMES)}, or none")
    _check_pem_files(*paths)
    return Tls(*paths)


def _check_pem_files(certificate: Path, key: Path, authority: Path) -> None:
    """Raises ConfigError if gRPC cannot use the files: gRPC would only log the error and not serve."""
    for name, path in zip(_TLS_NAMES, (certificate, key, authority), strict=True):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{name} is {str(path)!r}, which cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # Without this argument, OpenSSL would prompt for the password of an encrypted key.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"HEDDLE_TLS_CERT and HEDDLE_TLS_KEY take PEM files, of a certificate and of the key that belongs to it,"
            f" without a password; {str(certificate)!r} and {str(key)!r} are none ({error.reason or 'no PEM'})"
        ) from error
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise ConfigError(
            f"HEDDLE_TLS_CA is {str(authority)!r}; it takes a PEM file with the certificate of the authority"
        ) from error
