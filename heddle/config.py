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

# Clear of what kernels and Kubernetes hand out by themselves.
DEFAULT_PORT_RANGE = "20000-29999"

_TLS_NAMES = ("HEDDLE_TLS_CERT", "HEDDLE_TLS_KEY", "HEDDLE_TLS_CA")


class ConfigError(Exception):
    """A setting is malformed; the message names the variable and what it takes."""


@dataclass(frozen=True)
class Tls:
    """Paths of PEM files. With a CA, both sides must show a certificate of it (mutual TLS)."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class WorkerAddress:
    """Where one worker's two services listen, each as host:port."""

    name: str
    worktree: str
    agent: str


@dataclass(frozen=True)
class Settings:
    """What the environment says. Absent variables have the embedded mode's defaults."""

    # HEDDLE_HOME: the data folder; everything that Heddle writes lies below it.
    home: Path
    # HEDDLE_LISTEN: host:port of the service that reads these settings.
    listen: str
    # HEDDLE_SCHEDULER: host:port that clients and ui_svc call.
    scheduler: str
    # HEDDLE_DATABASE_URL: in SQLAlchemy's form.
    database_url: str
    # HEDDLE_WORKERS: name=worktree_host:port+agent_host:port, separated by commas.
    workers: tuple[WorkerAddress, ...]
    # HEDDLE_WORKER_NAME: what this worker calls itself in events.
    worker_name: str
    # HEDDLE_SLOTS: sessions that a worker runs at the same time.
    slots: int
    # HEDDLE_MIN_FREE_BYTES: a disk with less room takes no new work.
    min_free_bytes: int
    # HEDDLE_POOL: worktrees that are kept ready for each large project; 0: none.
    pool: int
    # HEDDLE_FILTERS: filters of a project's own .git/config that may run as they are now, separated by commas;
    # none: no such filter runs. Absent: those run that were there when the project was first met.
    filters: tuple[str, ...]
    # HEDDLE_PORT_RANGE: FIRST-LAST, where epics get their ports.
    port_range: tuple[int, int]
    # HEDDLE_KEEP_WORKTREES: days that worktrees which somebody may want to look at stay after their run.
    keep_worktrees: float
    # HEDDLE_KEEP_LOGS: days that the logs of runs and sessions stay after their run.
    keep_logs: float
    # HEDDLE_PROJECT_BUDGET_USD: what all runs on one repository may cost together; 0: no limit.
    project_budget_usd: float
    # HEDDLE_PARK_AFTER: seconds after which a session that waits for the operator may lose its slot.
    park_after: float
    # HEDDLE_STOP_GRACE: seconds between SIGTERM and SIGKILL of an agent.
    stop_grace: float
    # HEDDLE_DRAIN: seconds that running sessions get to end by themselves when their worker is shut down.
    drain: float
    # HEDDLE_LEASE: seconds for which a worker's sessions go on without a leader; 0: without end.
    lease: float
    # HEDDLE_AGENT_MEMORY: bytes that an agent and all that it starts may use together; 0: no limit.
    agent_memory: int
    # HEDDLE_SESSION_TEXT: bytes of text that a session stores of what its agent writes; 0: no limit.
    session_text: int
    # HEDDLE_AGENT_ENV: names of variables that agents may inherit, separated by commas.
    agent_env: tuple[str, ...]
    # HEDDLE_SANDBOX: auto, required or off: whether agents live in a sandbox of bubblewrap.
    sandbox: str
    # HEDDLE_SANDBOX_WRITABLE: what agents may write besides their own, separated by commas.
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
    """Raises ConfigError where gRPC could not use them: it would only log so, and not serve."""
    for name, path in zip(_TLS_NAMES, (certificate, key, authority), strict=True):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{name} is {str(path)!r}, which cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # Without a password, it would ask for one where the key has one.
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
