"""Checks whether bubblewrap works on this machine, and defines the sandbox of each session.

In a sandbox the whole file system is read-only. Below HEDDLE_HOME and /run a session sees only its own
files, the secrets and sockets of its user are hidden (see hidden.py), and it has a private /tmp. Rules
decide what it reaches of the network. A filter refuses system calls that agents do not need.
A sandbox has its own PID namespace, so a session sees only its own processes. When the first
of them, the supervisor, ends, the kernel kills the others. Containers often forbid a new /proc:
a session then sees the processes of others, but cannot access their memory or files.
"""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from agent_svc.sandbox import system_calls
from agent_svc.sandbox.hidden import hidden_paths, is_reachable, sockets, within
from agent_svc.sandbox.mounts import Mounts
from agent_svc.sandbox.network import Internet, NoNetworkError, identity, resolver_needed, with_resolver
from agent_svc.sandbox.private_folders import PrivateFolder
from agent_svc.sandbox.repository import checkout
from agent_svc.sandbox.rules import Rules

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PROGRAM: Final = "bwrap"

INSTALL: Final = "install bubblewrap with the system's package manager (apt-get install bubblewrap)"
ALLOW: Final = (
    "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0,"
    " or in a container a seccomp profile that permits them"
)

# The capabilities that root keeps: over its own files, but not over mounts, processes and devices.
CAPABILITIES: Final = ("chown", "dac_override", "fowner", "fsetid", "setfcap", "setgid", "setuid")

# Options that separate processes, the preferred ones first. With the second, root needs a user namespace too.
WAYS: Final = (
    ("--unshare-pid", "--as-pid-1", "--proc", "/proc"),
    ("--unshare-user", "--ro-bind", "/proc", "/proc"),
)

# The folder of the sockets through which programs act for others (containers, services, SSH keys),
# and the entries in it that name resolution needs.
SOCKETS: Final = Path("/run")
NAMES: Final = ("NetworkManager", "nscd", "resolvconf", "systemd/resolve")

# Entries in the same folder through which NixOS provides its programs.
PROGRAMS: Final = ("current-system", "wrappers", "opengl-driver")

TMP: Final = Path("/tmp")  # noqa: S108 (programs expect this path; each session mounts its own folder there)

# Time limit of the trial in seconds. It normally takes milliseconds.
PATIENCE: Final = 20

HERE: Final = Path(__file__).resolve().parents[2]


class NoSandboxError(Exception):
    """bubblewrap does not work here. The message explains why, `advice` how to fix it."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


@dataclass(frozen=True)
class Resident:
    """The session or check that runs in a sandbox."""

    worktree: Path
    # The private temporary folder.
    scratch: Path
    environment: Mapping[str, str]
    # What it sees in place of its agent's own folders, which must exist.
    own: Sequence[PrivateFolder] = ()
    # Writable folders that links in the worktree point to.
    shared: Sequence[Path] = ()
    # Whether its processes may create user namespaces, as an agent with a sandbox of its own does.
    user_namespaces: bool = False


class Bubblewrap:
    """A working bubblewrap."""

    def __init__(self, program: str, way: Sequence[str], rules: Rules) -> None:
        self._program = program
        self._way = way
        self._rules = rules
        self._filtered = bool(system_calls.program(user_namespaces=True))
        self._internet = Internet() if rules.network == "internet" else None

    @classmethod
    def find(cls, rules: Rules) -> "Bubblewrap":
        """Returns a working bubblewrap after a trial; raises NoSandboxError."""
        program = shutil.which(PROGRAM)
        if sys.platform != "linux":
            raise NoSandboxError(
                "bubblewrap is for Linux only", "run the worker on Linux or in its container"
            )
        if program is None:
            raise NoSandboxError(f"{PROGRAM} is not on PATH", INSTALL)
        ways = [cls(program, way, rules) for way in WAYS]
        for found in ways:
            try:
                found.try_out()
            except NoSandboxError:
                found.close()
            else:
                found.try_filter()
                return found
        # Report the error of the preferred options.
        ways[0].try_out()
        return ways[0]

    @property
    def version(self) -> str:
        """The name and version that bubblewrap reports, and what it lacks here."""
        lacks = "" if self._filtered else " without a filter of system calls"
        return f"{_output([self._program, '--version'])}{lacks}"

    def try_out(self) -> None:
        """Creates a sandbox as a trial; raises NoSandboxError if that fails."""
        with tempfile.TemporaryDirectory() as folder:
            resident = Resident(Path(folder), Path(folder), os.environ)
            _output([*self.wrapper(resident), "/bin/sh", "-c", "test -d /proc/$$"])

    def try_filter(self) -> None:
        """Tries the filter of system calls. If this machine cannot use it, sessions run without, and the log says so."""
        if not self._filtered:
            log.warning("system_calls_not_filtered", reason=f"no filter for {platform.machine()}")
            return
        with tempfile.TemporaryDirectory() as folder:
            resident = Resident(Path(folder), Path(folder), os.environ)
            *options, end = self.wrapper(resident)
            with tempfile.TemporaryFile() as file:
                file.write(self.system_calls(resident))
                file.seek(0)
                held = [*options, "--seccomp", str(file.fileno()), end, "/bin/true"]
                try:
                    _output(held, files=(file.fileno(),))
                except NoSandboxError as error:
                    log.warning("system_calls_not_filtered", reason=str(error))
                    self._filtered = False

    def processes(self) -> list[int]:
        """Returns the PIDs of the children of this process that sandboxes need."""
        return self._internet.processes() if self._internet else []

    def close(self) -> None:
        """Ends these processes. Idempotent."""
        if self._internet:
            self._internet.close()

    def system_calls(self, resident: Resident) -> bytes:
        """Returns the filter of system calls to pass to bubblewrap; empty if there is none here."""
        if not self._filtered:
            return b""
        return system_calls.program(user_namespaces=resident.user_namespaces or self._rules.user_namespaces)

    def wrapper(self, resident: Resident) -> tuple[str, ...]:
        """Returns the arguments to put before a command that runs in the sandbox; creates missing folders.

        The command may become PID 1 in the sandbox, so it must reap its children. It keeps its open files.
        The filter of system calls is passed separately, because bubblewrap reads it from a descriptor.
        """
        enter, network = self._network()
        return (
            *enter,
            self._program,
            "--unshare-ipc",
            *network,
            *_capabilities(),
            *described(self._rules, resident, maps_one_user="--unshare-user" in self._way).arguments(),
            *(_resolver(self._rules.home) if self._internet else ()),
            *self._way,
            *_kernel_settings(),
            "--chdir",
            str(resident.worktree.resolve()),
            "--",
        )

    def _network(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Returns the arguments before bubblewrap and the options for it that restrict the network."""
        if self._rules.network == "none":
            return (), ("--unshare-net",)
        if self._internet is None:
            return (), ()
        try:
            enter = self._internet.prefix()
        except NoNetworkError as error:
            raise NoSandboxError(str(error), error.advice) from error
        return enter, identity()


def described(rules: Rules, resident: Resident, *, maps_one_user: bool = False) -> Mounts:
    """Returns what a sandbox shows to `resident`; creates missing folders of its agent.

    `maps_one_user`: its user namespace knows no user but this one, so that even root reaches no one else's folders.
    """
    worktree, scratch = resident.worktree.resolve(), resident.scratch.resolve()
    # It is hidden, for which it must exist.
    rules.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    mounts = Mounts()
    mounts.empty(SOCKETS)
    mounts.empty(rules.home.resolve())
    _hide(mounts, rules, resident, maps_one_user=maps_one_user)
    mounts.writable(TMP, scratch)
    mounts.visible(_programs(resident.environment))
    mounts.visible(path for name in (*NAMES, *PROGRAMS) if (path := SOCKETS / name).exists())
    for path in (*rules.writable, *resident.shared):
        if path.exists():
            mounts.writable(path.resolve())
    _add_own_folders(mounts, resident)
    mounts.writable(scratch)
    mounts.writable(worktree)
    _add_repository(mounts, worktree)
    for path in rules.secrets:
        mounts.read_only(path.resolve(), Path(os.devnull))
    return mounts


def _hide(mounts: Mounts, rules: Rules, resident: Resident, *, maps_one_user: bool) -> None:
    homes = {Path.home(), Path(resident.environment.get("HOME", "/"))} - {Path("/")}
    own = [folder.path for folder in resident.own]
    for path in hidden_paths(rules, homes, own):
        mounts.mask(path, folder=path.is_dir())
    shown = [path.resolve() for path in (*rules.visible, *(SOCKETS / name for name in NAMES))]
    for path in sockets():
        if not within(path, shown) and not (maps_one_user and not is_reachable(path)):
            mounts.mask(path, folder=False, foreign=True)
    mounts.visible(path.resolve() for path in rules.visible if path.exists())


def _resolver(home: Path) -> tuple[str, ...]:
    """Returns options for a resolv.conf whose name server a session reaches, if that of the machine is on loopback."""
    file = Path("/etc/resolv.conf")
    text = file.read_text(errors="replace") if file.exists() else ""
    if not text or not resolver_needed(text):
        return ()
    ours = home / "resolv.conf"
    if not ours.exists() or ours.read_text() != with_resolver(text):
        scratch = ours.with_name(f"{ours.name}.new")
        scratch.write_text(with_resolver(text))
        scratch.replace(ours)
    return ("--ro-bind", str(ours), str(file.resolve()))


def _capabilities() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["--cap-drop", "ALL", *(word for name in CAPABILITIES for word in ("--cap-add", f"cap_{name}"))]


def _kernel_settings() -> list[str]:
    """Returns arguments that make kernel settings read-only for root, who needs no capability to write them."""
    return ["--ro-bind", "/proc/sys", "/proc/sys"] if os.geteuid() == 0 else []


def _programs(environment: Mapping[str, str]) -> Iterable[Path]:
    """Yields the folders that may contain a session's programs and the files that these read."""
    for path in (Path(sys.prefix), Path(sys.base_prefix), HERE):
        # A virtual environment may be a link to a folder that the sandbox hides.
        yield from (path, path.resolve())
    for name in environment.get("PATH", "").split(os.pathsep):
        # Includes the folders next to bin, because files in bin are often links into them.
        if name.startswith("/") and os.path.isdir(name):  # noqa: PTH112 (False, not an error, if it is inaccessible)
            yield Path(name).resolve().parent
    if home := environment.get("HOME"):
        yield Path(home).resolve()


def _add_own_folders(mounts: Mounts, resident: Resident) -> None:
    for folder in resident.own:
        mounts.writable(folder.path, folder.private)
        for source, path in folder.shown():
            mounts.read_only(path, source.resolve())


def _there(folder: Path, part: str) -> bool:
    """Creates `part` if it names a folder. Returns whether it exists."""
    if part.endswith("/"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return (folder / part).exists()


def _keep(mounts: Mounts, folder: Path, part: str) -> None:
    """Makes a part of a writable folder read-only. Creates an empty file or folder if it does not exist."""
    path = folder / part
    if not _there(folder, part):
        # A link that leads nowhere would otherwise create a file outside the folder.
        with contextlib.suppress(FileExistsError), path.open("x") as file:
            file.write("{}\n" if path.suffix == ".json" else "")
    mounts.read_only(path)


def _add_repository(mounts: Mounts, worktree: Path) -> None:
    found = checkout(worktree)
    if found is None:
        return
    mounts.read_only(worktree / ".git")
    for path in found.writable():
        if path.is_dir() and not path.is_symlink():
            mounts.writable(path)
    for path in found.read_only():
        if path.exists():
            mounts.read_only(path)
    _keep(mounts, found.git_dir, "config.worktree")


def _output(command: Sequence[str], files: Sequence[int] = ()) -> str:
    """Runs a trial command and returns its output; raises NoSandboxError."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
            pass_fds=files,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoSandboxError(f"{PROGRAM} does not run: {error}", INSTALL) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NoSandboxError(f"{PROGRAM} cannot make a sandbox: {said}", ALLOW)
    return done.stdout.strip()
