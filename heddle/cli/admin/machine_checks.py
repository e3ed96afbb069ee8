"""The checks of `heddle doctor` on this machine; each returns a `Finding`."""

import os
import platform
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heddle.cli.admin import home_lock
from heddle.cli.console.failure import Failure
from heddle.config import ConfigError, Settings
from heddle.files import data_folder, fencing

# The first git that merges without a checkout (merge-tree --write-tree).
NEEDED_GIT: Final = (2, 39)

_NETWORK: Final = "network of agents"
_CLOSE: Final = "set HEDDLE_SANDBOX_NETWORK to internet, or to none"

# Seconds; a commit slower than this calls for a better disk.
SLOW_COMMIT: Final = 0.2


@dataclass(frozen=True)
class Finding:
    """One line of the report. `ok` is None if neither applies, such as for a service that is off."""

    subject: str
    ok: bool | None
    detail: str
    # How to fix it. Empty if nothing needs to be fixed.
    advice: str = ""


def machine(settings: Settings) -> list[Finding]:
    """Returns the findings that need no service."""
    home = settings.home
    found = [
        python(),
        git(),
        home_folder(home),
        disk(settings),
        database(home),
        *set_aside(home),
        *epochs(home),
    ]
    return [*found, agents_network(settings)] if sys.platform == "linux" else found


def python() -> Finding:
    """Reports the interpreter that runs this command."""
    return Finding("Python", True, f"{platform.python_version()} at {sys.executable}")


def git() -> Finding:
    """Checks for a recent enough git."""
    wanted = ".".join(map(str, NEEDED_GIT))
    advice = f"install git {wanted} or newer with the system's package manager"
    path = shutil.which("git")
    if path is None:
        return Finding("git", False, "is not on PATH", advice)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", False, f"{path} does not run: {error}", advice)
    version = git_version(done.stdout)
    if version < NEEDED_GIT:
        return Finding("git", False, f"{done.stdout.strip()} at {path} is too old", advice)
    return Finding("git", True, f"{done.stdout.strip().removeprefix('git version ')} at {path}")


def git_version(text: str) -> tuple[int, ...]:
    """Returns the version in the output of `git --version`; empty if there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def home_folder(folder: Path) -> Finding:
    """Checks that the data folder can be written, and makes it private to its user."""
    try:
        changed = home_lock.make(folder)
    except Failure as failure:
        problem, _, advice = str(failure).partition("\n")
        return Finding("data folder", False, problem, advice)
    try:
        repository = data_folder.keep_out(folder)
    except ConfigError as error:
        return Finding("data folder", False, str(error), "set HEDDLE_HOME to a folder outside any repository")
    if repository:
        detail = f"{folder} can be written, but is inside the repository {repository}; git ignores it"
        return Finding("data folder", None, detail, "set HEDDLE_HOME to a folder outside any repository")
    return Finding("data folder", True, "; ".join(filter(None, (f"{folder} can be written", changed))))


def agents_network(settings: Settings) -> Finding:
    """Reports what agents in a sandbox reach, and what this machine lacks for HEDDLE_SANDBOX_NETWORK=internet."""
    missing = [name for name in ("pasta", "nsenter", "ip") if shutil.which(name) is None]
    install = "install passt, util-linux and iproute2 with the system's package manager"
    if settings.sandbox_network == "none":
        return Finding(_NETWORK, True, "agents in a sandbox reach nothing")
    if settings.sandbox_network == "open":
        detail = "agents in a sandbox reach every port that this machine reaches, and its own"
        first = f"{install}, and " if missing else ""
        return Finding(_NETWORK, None, detail, f"to close this machine to agents, {first}{_CLOSE}")
    if missing:
        return Finding(_NETWORK, False, f"{' and '.join(missing)} not on PATH", install)
    return Finding(_NETWORK, True, "agents in a sandbox reach other machines, and nothing of this one")


def epochs(home: Path) -> list[Finding]:
    """Reports files of this machine's worker that refuse every leader; empty if there are none."""
    return [
        Finding(
            "leader epoch",
            False,
            f"{path} contains {epoch}, which no leader set, so this worker refuses every leader",
            f"run `{fencing.REPAIR}` here; the services may keep running",
        )
        for path, epoch in fencing.implausible(home, time.time()).items()
    ]


def disk(settings: Settings) -> Finding:
    """Compares the free space with the limit below which no work is accepted."""
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    return _room("disk", folder, settings.min_free_bytes)


def set_aside(home: Path) -> list[Finding]:
    """Names worktrees that Heddle moved away and that no one has removed since; empty if there are none."""
    paths = [shlex.quote(str(folder)) for folder in sorted(home.glob(f"{data_folder.ASIDE}/*"))]
    if not paths:
        return []
    detail = (
        "these worktrees have files of another user, for example from a container that ran as root, which Heddle"
        f" could neither keep nor remove: {', '.join(paths)}"
    )
    advice = f"save what you need from them, then remove them with that user's rights: sudo rm -rf {' '.join(paths)}"
    return [Finding("set aside", None, detail, advice)]


def _room(subject: str, folder: Path, needed: int) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{_gibibytes(free)} free; new work needs {_gibibytes(needed)}"
    if free < needed:
        advice = f"free space on the disk of {folder}, or lower HEDDLE_MIN_FREE_BYTES"
        return Finding(subject, False, detail, advice)
    return Finding(subject, True, detail)


def repository(folder: Path, needed: int) -> list[Finding]:
    """Checks what tasks need in a repository: `needed` bytes free on its disk, and write access for git."""
    subject = f"repository {folder}"
    if not folder.is_dir():
        advice = "restore or mount it; runs on it wait for that and then continue"
        return [Finding(subject, False, "is not there", advice)]
    found = [_room(f"disk of {folder}", folder, needed)]
    common = folder / ".git" if (folder / ".git").is_dir() else folder
    closed = [each for each in (common / "objects", common / "refs") if each.is_dir() and not _writable(each)]
    if closed:
        advice = "mount it writable, or give the user of the services write access"
        found.append(Finding(subject, False, f"{closed[0]} cannot be written", advice))
    return found


def _writable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def database(folder: Path) -> Finding:
    """Commits to a temporary SQLite database as the scheduler does: WAL, full sync."""
    path = folder / ".doctor.db"
    try:
        mode, seconds = _commit(path)
    except sqlite3.Error as error:
        advice = "set HEDDLE_HOME to a local disk, or HEDDLE_DATABASE_URL to a PostgreSQL database"
        return Finding("SQLite", False, f"{error} in {folder}", advice)
    finally:
        for each in folder.glob(".doctor.db*"):
            each.unlink()
    if mode != "wal":
        advice = "network disks have no shared memory; set HEDDLE_HOME to a local disk"
        return Finding("SQLite", False, f"this disk does not support SQLite's WAL mode (got {mode})", advice)
    detail = f"{sqlite3.sqlite_version}, a commit with full sync takes {seconds * 1e3:.1f} ms"
    if seconds > SLOW_COMMIT:
        return Finding("SQLite", True, f"{detail}, so the disk is slow, and the scheduler will be slow too")
    return Finding("SQLite", True, detail)


def _commit(path: Path) -> tuple[str, float]:
    connection = sqlite3.connect(path)
    try:
        mode = str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE scratch (value INTEGER)")
        started = time.monotonic()
        connection.execute("INSERT INTO scratch VALUES (1)")
        connection.commit()
        return mode, time.monotonic() - started
    finally:
        connection.close()


def _gibibytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
