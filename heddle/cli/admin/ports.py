"""Where the services of an embedded Heddle listen, and whether their ports are free."""

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from heddle import sockets
from heddle.cli.console.failure import Failure
from heddle.config import DEFAULT_PORT

HOST: Final = "127.0.0.1"
HIGHEST: Final = 65535


@dataclass(frozen=True)
class Endpoint:
    """One service of an embedded Heddle. `port` is None if it listens on a Unix socket."""

    name: str
    module: str
    address: str
    port: int | None = None


@dataclass(frozen=True)
class Endpoints:
    """Where the four services of the data folder `home` listen.

    The scheduler and the web app use the ports BASE and BASE+3; the worker's services use
    Unix sockets, which only their owner can open and no agent in a sandbox sees.
    """

    base: int
    home: Path

    @property
    def scheduler(self) -> Endpoint:
        return Endpoint("scheduler", "scheduler_svc", f"{HOST}:{self.base}", self.base)

    @property
    def worktree(self) -> Endpoint:
        return Endpoint("worktree", "worktree_svc", sockets.address(self.home, "worktree"))

    @property
    def agent(self) -> Endpoint:
        return Endpoint("agent", "agent_svc", sockets.address(self.home, "agent"))

    @property
    def ui(self) -> Endpoint:
        return Endpoint("ui", "ui_svc", f"{HOST}:{self.base + 3}", self.base + 3)

    @property
    def all(self) -> tuple[Endpoint, ...]:
        """In the order in which they are started."""
        return (self.worktree, self.agent, self.scheduler, self.ui)

    @property
    def board(self) -> str:
        """The address of the web app."""
        return f"http://{self.ui.address}"

    def metrics(self, endpoint: Endpoint, first: str) -> str:
        """Returns the host:port of a service's metrics if the scheduler's is `first`; empty if that is."""
        host, _, port = first.rpartition(":")
        # In the order of the documentation. Port 0 is any free one.
        place = (self.scheduler, self.worktree, self.agent, self.ui).index(endpoint)
        return first and f"{host}:{int(port) + place if int(port) else 0}"

    def environment(self) -> dict[str, str]:
        """Returns the environment variables of every service and client of this Heddle."""
        return {"HEDDLE_SCHEDULER": self.scheduler.address, "HEDDLE_WORKER_NAME": "local"}


def taken(endpoints: Endpoints) -> list[str]:
    """Returns a line for each port in use; an empty list means that all are free."""
    return [
        f"port {each.port} ({each.name}) is in use{owner(each.port)}"
        for each in (endpoints.scheduler, endpoints.ui)
        if each.port and not is_free(each.port)
    ]


def require_free(endpoints: Endpoints) -> None:
    """Raises Failure that names each port in use, and how to resolve that."""
    if problems := taken(endpoints):
        raise Failure(
            "; ".join(problems) + f".\nStop that program, or use other ports: heddle up --ports {find_free()}"
        )


def find_free(start: int = DEFAULT_PORT + 100) -> int:
    """Returns the first BASE from `start` in steps of ten whose two ports are free."""
    for base in range(start, HIGHEST - 3, 10):
        if is_free(base) and is_free(base + 3):
            return base
    raise Failure("no two ports BASE and BASE+3 are free on this machine")


def is_free(port: int) -> bool:
    """Returns whether a service could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Like servers: a port in TIME_WAIT counts as free, one with a listener does not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise Failure(
                    f"port {port} needs privileges; use ports above 1023: heddle up --ports BASE"
                ) from None
            return False
        return True


def owner(port: int) -> str:
    """Returns ` by NAME (pid N)` if this user may see the process; otherwise an empty string."""
    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""
