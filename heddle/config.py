"""Settings of every service and client, read once from the environment.

The variable of a field is its name in capitals after HEDDLE_; docs/configuration.md lists them for
operators. An empty variable counts as absent.
"""

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from heddle import sockets
from heddle.sockets import is_socket

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_PORT: Final = 7400

# Seconds after the grace period that a worker needs to stop its sessions once its lease has expired.
LEASE_MARGIN: Final = 5.0

_PREFIX: Final = "HEDDLE_"
_TLS_NAMES: Final = ("HEDDLE_TLS_CERT", "HEDDLE_TLS_KEY", "HEDDLE_TLS_CA")


class ConfigError(Exception):
    """Settings are malformed; the message names each variable and its valid values."""


@dataclass(frozen=True)
class Tls:
    """Paths of PEM files. Both sides must present a certificate issued by the authority (mutual TLS)."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class WorkerAddress:
    """The addresses of one worker's two services, each as host:port or unix:PATH."""

    name: str
    worktree: str
    agent: str
    # The name for which its certificate is valid; empty: the host of the address.
    tls_name: str = ""


def is_address(value: str) -> bool:
    """Returns whether it is host:port or unix:PATH."""
    host, _, port = value.rpartition(":")
    return is_socket(value) or bool(host and port.isascii() and port.isdecimal() and int(port) <= 65535)


def _address(value: str) -> str:
    if not is_address(value):
        raise ValueError("it takes host:port, as 127.0.0.1:7400")
    return value


def _host_and_port(value: str) -> str:
    if is_socket(value):
        raise ValueError("it takes host:port, as 127.0.0.1:7404")
    return _address(value)


def _workers(value: str) -> tuple[WorkerAddress, ...]:
    if value == "none":
        return ()
    workers = []
    for entry in value.split(","):
        name, _, addresses = entry.strip().partition("=")
        worktree, _, agent = addresses.partition("+")
        if not (name and worktree and agent):
            raise ValueError(f"each entry is name=worktree_host:port+agent_host:port, and {entry!r} is not")
        workers.append(WorkerAddress(name, worktree, agent))
    return tuple(workers)


def _advertised(value: str) -> str:
    worktree, _, agent = value.partition("+")
    if not (is_address(worktree) and is_address(agent)):
        raise ValueError("it takes worktree_host:port+agent_host:port")
    return value


def _labels(value: str) -> dict[str, str]:
    labels = {}
    for part in _parts(value):
        key, _, label = part.partition("=")
        if not (key and label):
            raise ValueError(f"it takes KEY=VALUE, separated by commas, and {part!r} is not")
        labels[key] = label
    return labels


def _port_range(value: str) -> tuple[int, int]:
    first, _, last = value.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) <= 65535):
        raise ValueError("it takes FIRST-LAST from 1024 to 65535, as 20000-29999")
    return int(first), int(last)


def _home(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part for each in value.split(",") if (part := each.strip()))


def _absolute(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_absolute():
        raise ValueError(f"it takes absolute paths, separated by commas, and {str(path)!r} is not absolute")
    return path


_Address: TypeAlias = Annotated[str, AfterValidator(_address)]
_Names: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts)]
_Paths: TypeAlias = Annotated[
    tuple[Annotated[Path, AfterValidator(_absolute)], ...], NoDecode, BeforeValidator(_parts)
]
_Count: TypeAlias = Annotated[int, Field(ge=0)]
_Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The settings from the environment. Absent variables have the defaults of the embedded mode."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        extra="ignore",
        frozen=True,
        validate_default=False,
    )

    home: Annotated[Path, BeforeValidator(_home)] = Field(default_factory=lambda: Path.home() / ".heddle")
    """The data folder, which contains everything that Heddle writes."""
    listen: Annotated[str, AfterValidator(lambda value: value and _address(value))] = ""
    """host:port or unix:PATH of the service that reads these settings; absent: its own default."""
    metrics: Annotated[str, AfterValidator(lambda value: value and _host_and_port(value))] = ""
    """host:port under which the service shows its metrics to Prometheus; absent: it shows none."""
    ui_hosts: _Names = ()
    """Host names under which ui_svc answers, in addition to loopback and the host that it listens on."""
    scheduler: _Address = f"127.0.0.1:{DEFAULT_PORT}"
    """host:port or unix:PATH that clients and ui_svc call."""
    ui_behind_proxy: bool = False
    """Whether a proxy in front of the web app provides TLS, so that it may listen for other machines without."""
    token: str = Field(default="", repr=False)
    """The token with which clients sign in. The scheduler accepts it as that of the operator. Absent: the
    token in the file `token` in `home`, which the scheduler creates."""
    database_url: str = Field(default_factory=lambda read: f"sqlite:///{read['home'] / 'heddle.db'}")
    """A SQLAlchemy URL; absent: a SQLite file in `home`."""
    workers: Annotated[tuple[WorkerAddress, ...], NoDecode, BeforeValidator(_workers)] = Field(
        default_factory=lambda read: (
            WorkerAddress(
                "local", sockets.address(read["home"], "worktree"), sockets.address(read["home"], "agent")
            ),
        )
    )
    """name=worktree_address+agent_address, separated by commas; absent: the sockets of the worker in `home`.
    none: only workers that register themselves."""
    git_listen: Annotated[str, AfterValidator(lambda value: value and _host_and_port(value))] = ""
    """host:port at which a worker serves projects by path to the places of their epics; absent: it serves none."""
    git_advertise: Annotated[str, AfterValidator(lambda value: value and _host_and_port(value))] = ""
    """host:port under which other workers reach that; absent: `git_listen`."""
    pod_template: Annotated[Path, AfterValidator(_absolute)] | None = None
    """The template of the Kubernetes pods in which epics with a place run, one for each; absent: epics run
    on workers that exist."""
    pod_keep: _Seconds = 300
    """Seconds that the pod of an epic stays after it has ended."""
    worker_name: str = "local"
    """The name of this worker in events."""
    advertise: Annotated[str, AfterValidator(lambda value: value and _advertised(value))] = ""
    """worktree_address+agent_address under which the scheduler reaches this worker, which registers itself at
    `scheduler`. Absent: it does not register."""
    labels: Annotated[dict[str, str], NoDecode, BeforeValidator(_labels)] = Field(default_factory=dict)
    """KEY=VALUE, separated by commas: what a worker that registers itself offers."""
    slots: Annotated[int, Field(ge=1)] = 8
    """Sessions that a worker runs at the same time."""
    min_free_bytes: _Count = 512 << 20
    """Free bytes below which a disk accepts no new work."""
    pool: _Count = 1
    """Worktrees that are kept ready for each large project; 0: none."""
    filters: _Names = ()
    """Filters in a project's .git/config that may run as now defined, separated by commas; none: no such
    filter runs. Absent: the filters that existed when the project was first used may run."""
    linked_checkouts: _Paths = ()
    """Folders in checkouts that agents may change if a project's file links them, separated by commas. A folder
    includes those below it. None: a project's file cannot link a folder of the checkout."""
    # The default is outside the ranges that kernels and Kubernetes assign automatically.
    port_range: Annotated[tuple[int, int], NoDecode, BeforeValidator(_port_range)] = (20000, 29999)
    """FIRST-LAST, the range of the ports of epics."""
    keep_worktrees: _Seconds = 14
    """Days to keep worktrees that may still be of interest after their run."""
    keep_logs: _Seconds = 90
    """Days to keep the logs of runs and sessions after their run."""
    keep_audit: _Seconds = 365
    """Days to keep entries of the audit log."""
    screenshot_copies: _Count = 256 << 20
    """Bytes of screenshots that the database keeps of each run whose epics can move to other workers; 0: none."""
    project_budget_usd: _Seconds = 0
    """The maximum total cost of all runs on one repository; 0: no limit."""
    park_after: _Seconds = 20
    """Seconds after which a session that waits for the operator may lose its slot."""
    base_look_every: _Seconds = 60
    """Seconds between looks for new commits of the project's branch; 0: never."""
    stop_grace: _Seconds = 5
    """Seconds between SIGTERM and SIGKILL of an agent."""
    drain: _Seconds = 0
    """Seconds that running sessions get to finish when their worker is shut down."""
    lease: _Seconds = 300
    """Seconds for which a worker's sessions continue without a leader; 0: no limit."""
    agent_memory: _Count = 0
    """Bytes that an agent and its descendants may use in total; 0: no limit."""
    agent_processes: _Count = 2000
    """Processes that an agent and its descendants may have at a time; 0: no limit."""
    session_text: _Count = 64 << 20
    """Bytes of agent output that a session stores; 0: no limit."""
    agent_env: _Names = ()
    """Names of variables that agents may inherit, separated by commas."""
    sandbox: Literal["auto", "required", "off"] = "auto"
    """Whether agents run in a bubblewrap sandbox."""
    sandbox_writable: _Paths = ()
    """Additional paths that agents may write, separated by commas."""
    sandbox_hidden: _Paths = ()
    """Additional paths that agents in a sandbox cannot see, separated by commas."""
    sandbox_visible: _Paths = ()
    """Paths that agents in a sandbox see although they are hidden by default, separated by commas."""
    sandbox_network: Literal["open", "internet", "none"] = "open"
    """What agents in a sandbox reach: everything, other machines only, or nothing."""
    sandbox_user_namespaces: bool = False
    """Whether all agents in a sandbox, their checks and setups may create user namespaces."""
    terminal: bool = False
    """Whether admins may open terminals in the worktrees of this worker. For services of one machine only."""
    log_format: Literal["console", "json"] = "console"
    """How services write their log lines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important log lines that services write."""
    tls_cert: Path | None = None
    """The PEM file of this side's certificate. It is set together with `tls_key` and `tls_ca`, or none is."""
    tls_key: Path | None = None
    """The PEM file of the certificate's key, without a password."""
    tls_ca: Path | None = None
    """The PEM file of the authority that issued the certificates of both sides."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the library passes them by name)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (`read` chooses the environment)
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (not used)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (not used)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the values that `read` passes on count, because a caller can bring its own environment."""
        return (init_settings,)

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Returns the settings; raises ConfigError that names all malformed variables."""
        source = EnvSettingsSource(cls)
        source.env_vars = {
            name.lower(): value for name, value in _with_files(environ, cls.model_fields).items()
        }
        try:
            return cls(**source())
        except ValidationError as error:
            # A default that depends on a malformed variable is no second problem.
            problems = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
            raise ConfigError("; ".join(dict.fromkeys(map(_described, problems)))) from None

    @property
    def tls(self) -> Tls | None:
        """The files for mutual TLS; None: connections are not encrypted."""
        if self.tls_cert and self.tls_key and self.tls_ca:
            return Tls(self.tls_cert, self.tls_key, self.tls_ca)
        return None

    @property
    def longest_lease(self) -> float:
        """Seconds after the last contact to a leader by which all sessions of a worker have ended; 0: no limit."""
        return self.lease and self.lease + self.stop_grace + LEASE_MARGIN

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.tls:
            check_pem_files(self.tls)
        elif self.tls_cert or self.tls_key or self.tls_ca:
            raise ValueError(f"set all of {', '.join(_TLS_NAMES)}, or none")
        if self.terminal and (reason := self._reached_from_outside()):
            raise ValueError(
                f"HEDDLE_TERMINAL is on, and {reason}. It is for services that only this machine reaches: leave one of"
                " them out"
            )
        return self

    def _reached_from_outside(self) -> str:
        if self.tls:
            return "HEDDLE_TLS_CERT is set"
        if self.ui_behind_proxy:
            return "HEDDLE_UI_BEHIND_PROXY is set"
        if self.advertise:
            return "HEDDLE_ADVERTISE is set"
        # Most programs that read settings need no gRPC, which it imports.
        from heddle.urls import is_local  # noqa: PLC0415 (see above)

        local = not self.listen or is_local(self.listen)
        return "" if local else f"HEDDLE_LISTEN is {self.listen}, which other machines can reach"


def _with_files(environ: Mapping[str, str], fields: Iterable[str]) -> dict[str, str]:
    """Returns the variables that are not empty, with the content of the file that NAME_FILE names as NAME.

    Raises ConfigError if a file cannot be read, or if both NAME and NAME_FILE are set.
    """
    found = {name: value for name, value in environ.items() if value}
    for field in fields:
        name = f"{_PREFIX}{field.upper()}"
        path = found.get(f"{name}_FILE")
        if path is None:
            continue
        if name in found:
            raise ConfigError(f"{name} and {name}_FILE are both set; set one of them")
        try:
            found[name] = Path(path).expanduser().read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}_FILE is {path!r}, which cannot be read: {error}") from error
    return {name: value for name, value in found.items() if value}


def files_of_settings(environ: Mapping[str, str]) -> list[Path]:
    """Returns the existing files that variables such as HEDDLE_TOKEN_FILE name."""
    named = (environ.get(f"{_PREFIX}{field.upper()}_FILE") for field in Settings.model_fields)
    return [path for name in named if name and (path := Path(name).expanduser()).is_file()]


def _described(error: "ErrorDetails") -> str:
    """Returns a problem with the variable's name, its value and its valid values."""
    cause = error.get("ctx", {}).get("error")
    message = str(cause) if cause else error["msg"].replace("Input should be", "it must be")
    return (
        f"{_PREFIX}{str(error['loc'][0]).upper()} is {error['input']!r}; {message}"
        if error["loc"]
        else message
    )


def check_pem_files(tls: Tls) -> None:
    """Raises ValueError if gRPC cannot use the files: gRPC would only log the error and not serve."""
    for name, path in zip(_TLS_NAMES, (tls.certificate, tls.key, tls.authority), strict=True):
        try:
            path.read_bytes()
        except OSError as error:
            raise ValueError(f"{name} is {str(path)!r}, which cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # Without this argument, OpenSSL would prompt for the password of an encrypted key.
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except ssl.SSLError as error:
        raise ValueError(
            f"HEDDLE_TLS_CERT and HEDDLE_TLS_KEY take PEM files, of a certificate and of the key that belongs to it,"
            f" without a password; {str(tls.certificate)!r} and {str(tls.key)!r} are none ({error.reason or 'no PEM'})"
        ) from error
    try:
        context.load_verify_locations(tls.authority)
    except ssl.SSLError as error:
        raise ValueError(
            f"HEDDLE_TLS_CA is {str(tls.authority)!r}; it takes a PEM file with the certificate of the authority"
        ) from error
