"""The Unix sockets of a worker's services."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

# The shortest limit of the supported systems, that of macOS, without the terminating zero.
MAX_PATH_BYTES: Final = 103


def address(home: Path, service: str) -> str:
    """Returns the gRPC address of a service's socket, such as unix:/home/ada/.heddle/run/agent.sock.

    The socket is in HEDDLE_HOME/run or, if that path is too long for a socket, in a folder
    of this user below the system's folder for temporary files.
    """
    path = home / "run" / f"{service}.sock"
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        short = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"heddle-{os.getuid()}-{short}" / f"{service}.sock"
    return f"unix:{path}"


def is_socket(address: str) -> bool:
    """Returns whether a gRPC address is that of a Unix socket."""
    return address.startswith("unix:")


def prepare(address: str) -> None:
    """Creates the folder of a socket, which only its owner can enter. Idempotent.

    Raises PermissionError if the folder is another user's.
    """
    folder = Path(address.removeprefix("unix:")).parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.getuid() or folder.is_symlink():
        raise PermissionError(f"{folder} is not a folder of this user")
    if status.st_mode & 0o077:
        folder.chmod(0o700)
