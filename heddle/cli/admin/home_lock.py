"""The lock of the data folder: at most one `heddle up` uses a folder at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from heddle.cli.console import output
from heddle.cli.console.failure import Failure
from heddle.config import ConfigError
from heddle.files import data_folder
from heddle.rpc import service_process


@contextmanager
def held(home: Path, scheduler: str) -> Iterator[None]:
    """Locks `home` for this process; raises Failure that names the holder if it is locked.

    The operating system releases the lock when this process ends for any reason.
    """
    # The environment of this process contains what the services get.
    service_process.close_memory()
    if changed := make(home):
        output.print_message(f"warning: {changed}")
    path = home / "up.lock"
    # Opened without truncating: until this process has the lock, the text names the current holder.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another process"
            raise Failure(
                f"{home} is in use by {holder}.\n"
                "Use that one, stop it, or start this one with its own folder and ports:"
                " HEDDLE_HOME=FOLDER heddle up --ports BASE"
            ) from None
        file.truncate(0)
        file.write(f"a Heddle at {scheduler} (pid {os.getpid()})\n")
        file.flush()
        yield


def leftovers(home: Path) -> list[psutil.Process]:
    """Returns the running services of this folder; if the caller has the lock, a killed `up` left them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if "heddle.cli.admin.parent_watch" in words and words[-1] == str(home):
                found.append(process)
    return found


def make(home: Path) -> str:
    """Creates the folder if it does not exist and makes it private; raises Failure if it cannot be written.

    Returns what changed in its permissions, or "".
    """
    try:
        changed = data_folder.make_private(home)
        probe = home / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise Failure(
            f"cannot write to {home}: {error.strerror}.\n"
            "Fix its permissions, or set HEDDLE_HOME to a folder that you can write to"
        ) from error
    except ConfigError as error:
        raise Failure(str(error)) from error
    return changed
