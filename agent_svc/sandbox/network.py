"""The network namespace for HEDDLE_SANDBOX_NETWORK=internet: it reaches other machines, and nothing of this one.

`pasta` (package passt) connects the namespace to the network without privileges. All sessions of a worker share
one namespace, as they otherwise share the network of the machine: each pasta would use 30 MB. The namespace
lives as long as the shell in it, which waits for the end of its standard input: it ends when agent_svc does.
"""

import os
import select
import shutil
import subprocess
import tempfile
import threading
from typing import IO, Final

import psutil

from agent_svc.processes import process_table

PASTA, ENTER, ROUTES = "pasta", "nsenter", "ip"

INSTALL: Final = "install them with the system's package manager (apt-get install passt util-linux iproute2)"

# The address at which the namespace asks for names. pasta passes the questions to the machine's resolver.
RESOLVER: Final = "169.254.1.1"

# pasta offers nothing of the machine: no port in either direction, and not its loopback as the gateway.
OPTIONS: Final = (
    "--foreground",
    "--quiet",
    "--config-net",
    "--dns-forward",
    RESOLVER,
    "--no-map-gw",
    *("-t", "none", "-u", "none", "-T", "none", "-U", "none"),
)

# The machine's other addresses would still be reachable, so routes in the namespace refuse them.
_REFUSE: Final = 'for each in "$@"; do ip route replace unreachable "$each" || exit 1; done'
_HOLD: Final = "echo ready; read -r end"

# Seconds within which a namespace is ready. It normally takes a tenth of a second.
PATIENCE: Final = 15


class NoNetworkError(Exception):
    """The namespace cannot be made. The message explains why, `advice` how to fix it."""

    def __init__(self, reason: str, advice: str = INSTALL) -> None:
        super().__init__(reason)
        self.advice = advice


class Internet:
    """The network namespace of a worker's sessions. It is made when it is first needed, and again if it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pasta: subprocess.Popen[bytes] | None = None
        self._holder = 0
        self._refused: set[str] = set()

    def prefix(self) -> tuple[str, ...]:
        """Returns the arguments to put before a command that runs in the namespace; raises NoNetworkError."""
        with self._lock:
            if self._pasta is None or self._pasta.poll() is not None:
                self._make()
            self._refuse_own_addresses()
            return entering(self._holder, root=os.geteuid() == 0)

    def processes(self) -> list[int]:
        """Returns the PIDs of the children of this process that keep the namespace."""
        return [self._pasta.pid] if self._pasta is not None else []

    def close(self) -> None:
        """Ends the namespace. Idempotent."""
        with self._lock:
            self._end()

    def _make(self) -> None:
        self._end()
        missing = [name for name in (PASTA, ENTER, ROUTES) if shutil.which(name) is None]
        if missing:
            raise NoNetworkError(f"{' and '.join(missing)} not on PATH")
        with tempfile.TemporaryFile() as errors:
            self._pasta = subprocess.Popen(
                pasta_command(root=os.geteuid() == 0),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            if not _ready(self._pasta.stdout):
                self._end()
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines()[-1:] or [
                    "it does not answer"
                ]
                raise NoNetworkError(
                    f"{PASTA} cannot make a network: {said[0]}", "allow user namespaces and /dev/net/tun"
                )
        self._refused = set()
        # The shell is the last of pasta's processes.
        self._holder = process_table.descendants(self._pasta.pid)[-1]

    def _refuse_own_addresses(self) -> None:
        """Refuses the addresses of the machine, also those that it got after the namespace was made, as by a VPN."""
        new = sorted(set(own_addresses()) - self._refused)
        if not new:
            return
        enter = entering(self._holder, root=os.geteuid() == 0)
        try:
            subprocess.run(
                [*enter, "/bin/sh", "-c", _REFUSE, "sh", *new],
                check=True,
                timeout=PATIENCE,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NoNetworkError(
                f"the address {new[0]} of this machine cannot be refused: {error}"
            ) from error
        self._refused.update(new)

    def _end(self) -> None:
        if self._pasta is None:
            return
        self._pasta.kill()
        self._pasta.wait()
        for pipe in (self._pasta.stdin, self._pasta.stdout):
            if pipe is not None:
                pipe.close()
        self._pasta = None


def pasta_command(*, root: bool) -> list[str]:
    """Returns the command that makes the namespace and keeps it until its standard input ends."""
    # Otherwise, pasta would change to an unprivileged user, which may not inspect a process of root.
    user = ("--runas", "0") if root else ()
    return [PASTA, *user, *OPTIONS, "--", "/bin/sh", "-c", _HOLD]


def entering(holder: int, *, root: bool) -> tuple[str, ...]:
    """Returns the arguments that run a command in the namespace of the process `holder`.

    Other users than root also enter its user namespace, in which they are root until bubblewrap makes them
    themselves again: see `identity`.
    """
    user = () if root else ("--preserve-credentials", f"--user=/proc/{holder}/ns/user")
    return (ENTER, *user, f"--net=/proc/{holder}/ns/net", "--")


def identity() -> tuple[str, ...]:
    """Returns the options of bubblewrap that make the user in the namespace the user of the service."""
    if os.geteuid() == 0:
        return ()
    ids = ("--uid", str(os.geteuid()), "--gid", str(os.getegid()))
    return ("--unshare-user", *ids, "--cap-drop", "ALL")


def own_addresses() -> list[str]:
    """Returns the addresses of this machine, except those of its loopback, which a namespace has for itself."""
    found = set()
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family.name in {"AF_INET", "AF_INET6"}:
                address = each.address.partition("%")[0]
                if address != "::1" and not address.startswith("127."):
                    found.add(address)
    return sorted(found)


def resolver_needed(text: str) -> bool:
    """Returns whether the resolver in `text`, a resolv.conf, is on the machine's loopback."""
    servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")]
    return not servers or all(each.startswith("127.") or each == "::1" for each in servers)


def with_resolver(text: str) -> str:
    """Returns `text`, a resolv.conf, with RESOLVER as the only name server."""
    rest = [line for line in text.splitlines() if not line.startswith("nameserver")]
    return "\n".join([*rest, f"nameserver {RESOLVER}", ""])


def _ready(output: IO[bytes] | None) -> bool:
    if output is None:
        return False
    readable, _, _ = select.select([output], [], [], PATIENCE)
    return bool(readable) and output.readline() == b"ready\n"
