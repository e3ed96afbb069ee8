"""Checks whether bubblewrap works on this machine, and defines the sandbox of each session.

In a sandbox the whole file system is read-only and the network is unrestricted. Below
HEDDLE_HOME and /run a session sees only its own files, and it has a private /tmp.
A sandbox has its own PID namespace, so a session sees only its own processes. When the first
of them, the supervisor, ends, the kernel kills the others. Containers often forbid a new /proc:
a session then sees the processes of others, but cannot access their memory or files.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_svc.sandbox.mounts import Mounts
from agent_svc.sandbox.own_folder import OwnFolder
from agent_svc.sandbox.repository import checkout

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
    own: Sequence[OwnFolder] = ()
    # Writable folders that links in the worktree point to.
    shared: Sequence[Path] = ()


class Bubblewrap:
    """A working bubblewrap."""

    def __init__(
        self,
        program: str,
        way: Sequence[str],
        home: Path,
        writable: Iterable[Path] = (),
        secrets: Iterable[Path] = (),
    ) -> None:
        self._program = program
        self._way = way
        self._home = home.resolve()
        self._writable = tuple(writable)
        self._secrets = tuple(secrets)

    @classmethod
    def find(cls, home: Path, writable: Iterable[Path] = (), secrets: Iterable[Path] = ()) -> "Bubblewrap":
        """Returns a working bubblewrap after a trial; raises NoSandboxError.

        `home` is HEDDLE_HOME, `writable` are the paths that the operator lets every session write,
        `secrets` are files of the service that no process in a sandbox may read.
        """
        program = shutil.which(PROGRAM)
        if sys.platform != "linux":
            raise NoSandboxError(
                "bubblewrap is for Linux only", "run the worker on Linux or in its container"
            )
        if program is None:
            raise NoSandboxError(f"{PROGRAM} is not on PATH", INSTALL)
        ways = [cls(program, way, home, writable, secrets) for way in WAYS]
        for found in ways:
            with contextlib.suppress(NoSandboxError):
                found.try_out()
                return found
        # Report the error of the preferred options.
        ways[0].try_out()
        return ways[0]

    @property
    def version(self) -> str:
        """The name and version that bubblewrap reports."""
        return _output([self._program, "--version"])

    def try_out(self) -> None:
        """Creates a sandbox as a trial; raises NoSandboxError if that fails."""
        with tempfile.TemporaryDirectory() as folder:
            resident = Resident(Path(folder), Path(folder), os.environ)
            _output([*self.wrapper(resident), "/bin/sh", "-c", "test -d /proc/$$"])

    def wrapper(self, resident: Resident) -> tuple[str, ...]:
        """Returns the arguments to put before a command that runs in the sandbox; creates missing folders.

        The command may become PID 1 in the sandbox, so it must reap its children. It keeps its open files.
        """
        return (
            self._program,
            "--unshare-ipc",
            *_capabilities(),
            *self._mounts(resident).arguments(),
            *self._way,
            *_kernel_settings(),
            "--chdir",
            str(resident.worktree.resolve()),
            "--",
        )

    def _mounts(self, resident: Resident) -> Mounts:
        worktree, scratch = resident.worktree.resolve(), resident.scratch.resolve()
        mounts = Mounts()
        mounts.empty(SOCKETS)
        mounts.empty(self._home)
        mounts.writable(TMP, scratch)
        mounts.visible(_programs(resident.environment))
        mounts.visible(path for name in (*NAMES, *PROGRAMS) if (path := SOCKETS / name).exists())
        for path in (*self._writable, *resident.shared):
            if path.exists():
                mounts.writable(path.resolve())
        _add_own_folders(mounts, resident)
        mounts.writable(scratch)
        mounts.writable(worktree)
        _add_repository(mounts, worktree)
        for path in self._secrets:
            mounts.read_only(path.resolve(), Path(os.devnull))
        return mounts


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
        if name.startswith("/") and Path(name).is_dir():
            yield Path(name).resolve().parent
    if home := environment.get("HOME"):
        yield Path(home).resolve()


def _add_own_folders(mounts: Mounts, resident: Resident) -> None:
    for folder in resident.own:
        named = folder.path(resident.environment)
        if named is None or not named.is_absolute():
            continue
        named.mkdir(parents=True, exist_ok=True)
        path = named.resolve()
        mounts.visible([path])
        for part in folder.parts or ("./",):
            if _there(path, part):
                mounts.writable(path / part)
        for part in folder.kept:
            _keep(mounts, path, part)


def _there(folder: Path, part: str) -> bool:
    """Creates `part` if it names a folder. Returns whether it exists."""
    if part.endswith("/"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return (folder / part).exists()


def _keep(mounts: Mounts, folder: Path, part: str) -> None:
    """Makes a part of a writable folder read-only. Creates an empty file or folder if it does not exist."""
    path = folder / part
    if not _there(folder, part):
        path.write_text("{}\n" if path.suffix == ".json" else "")
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


def _output(command: Sequence[str]) -> str:
    """Runs a trial command and returns its output; raises NoSandboxError."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoSandboxError(f"{PROGRAM} does not run: {error}", INSTALL) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NoSandboxError(f"{PROGRAM} cannot make a sandbox: {said}", ALLOW)
    return done.stdout.strip()
