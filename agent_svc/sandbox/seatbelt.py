"""The sandbox on macOS: a profile for `sandbox-exec` with the rules that bubblewrap enforces on Linux.

It has not been run on a Mac: tests check the text of the profile, and a trial when the service starts finds a
macOS that refuses it. macOS has no namespaces: a session sees other processes, but can signal only those of its own
sandbox; its /tmp is hidden instead of replaced, so programs must use TMPDIR; loopback is that of the machine.
In a profile, the last rule that matches decides.
"""

import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from agent_svc.sandbox.bubblewrap import PATIENCE, NoSandboxError, Resident, described
from agent_svc.sandbox.mounts import DEVICES, ROOT, Mount
from agent_svc.sandbox.rules import Network, Rules

PROGRAM: Final = "/usr/bin/sandbox-exec"

# Everything is allowed but writing, acting on other programs, and having others act (launchd, Apple events, open).
_START: Final = """\
(version 1)
(allow default)
(deny file-write*)
(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty") (subpath "/dev/fd"))
(deny signal)
(allow signal (target same-sandbox))
(deny process-info* (target others))
(allow process-info* (target same-sandbox))
(deny appleevent-send)
(deny job-creation)
(deny lsopen)
"""

# Sockets of the system; names are resolved through the first.
_RUN: Final = "/private/var/run"
_NAMES: Final = "/private/var/run/mDNSResponder"

_NETWORKS: Final[Mapping[Network, str]] = {
    "open": "",
    "internet": '(deny network* (local ip "localhost:*"))\n(deny network-outbound (remote ip "localhost:*"))\n',
    "none": "(deny network*)\n",
}


class Seatbelt:
    """The sandbox of macOS. It has the same methods as Bubblewrap."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    @classmethod
    def find(cls, rules: Rules) -> "Seatbelt":
        """Returns a working sandbox after a trial; raises NoSandboxError."""
        if platform.system() != "Darwin":
            raise NoSandboxError("sandbox-exec is for macOS only", "use bubblewrap")
        found = cls(rules)
        with tempfile.TemporaryDirectory() as folder:
            resident = Resident(Path(folder), Path(folder), os.environ)
            try:
                subprocess.run(
                    [*found.wrapper(resident), "/usr/bin/true"],
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                said = (getattr(error, "stderr", "") or str(error)).strip()
                raise NoSandboxError(
                    f"sandbox-exec cannot make a sandbox: {said}", "report it with the version of macOS"
                ) from error
        return found

    @property
    def version(self) -> str:
        """The name and version of the sandbox."""
        return f"sandbox-exec of macOS {platform.mac_ver()[0]}"

    def processes(self) -> list[int]:
        """Returns no PID: this sandbox needs no other process."""
        return []

    def close(self) -> None:
        """Has nothing to end."""

    def system_calls(self, _: Resident) -> bytes:
        """Returns no filter: those of Linux do not apply."""
        return b""

    def wrapper(self, resident: Resident) -> tuple[str, ...]:
        """Returns the arguments to put before a command that runs in the sandbox; creates missing folders."""
        mounts = described(self._rules, resident).resolved()
        # The system compares real paths, and on macOS /tmp and /var are links.
        real = {path.resolve(): mount._replace(source=_real(mount.source)) for path, mount in mounts.items()}
        # The agent works in its own folder itself, because a profile cannot show a copy in its place.
        real |= {each.path.resolve(): Mount(each.path.resolve(), writable=True) for each in resident.own}
        return (PROGRAM, "-p", profile(real, self._rules.network), "--")


def profile(mounts: Mapping[Path, Mount], network: Network) -> str:
    """Returns the profile for what a sandbox shows at each path; parents come before their children."""
    return "".join(
        (_START, *_sockets(mounts, network), *(_rule(path, mount) for path, mount in mounts.items()))
    )


def _rule(path: Path, mount: Mount) -> str:
    if path in (ROOT, DEVICES):
        return ""
    where = f"(subpath {_quoted(path)})"
    # A profile cannot show one folder in place of another.
    if mount.hidden or mount.source != path:
        return (
            f"(deny file-read* file-write* {where})\n(allow file-read-metadata (literal {_quoted(path)}))\n"
        )
    if mount.writable:
        return f"(allow file-read* file-write* {where})\n"
    return f"(allow file-read* {where})\n(deny file-write* {where})\n"


def _sockets(mounts: Mapping[Path, Mount], network: Network) -> Iterable[str]:
    """Yields the rules of the network. A process needs no right to read a socket for connecting to it."""
    yield _NETWORKS[network]
    yield f'(deny network-outbound (subpath "{_RUN}"))\n'
    for path, mount in mounts.items():
        if path == ROOT:
            continue
        if mount.hidden or mount.source != path:
            yield f"(deny network-outbound (subpath {_quoted(path)}))\n"
        elif mount.writable:
            yield f"(allow network-bind network-outbound (subpath {_quoted(path)}))\n"
    if network != "none":
        yield f'(allow network-outbound (literal "{_NAMES}"))\n'


def _real(path: Path | None) -> Path | None:
    return path.resolve() if path else None


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
