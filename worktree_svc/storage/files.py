"""Safe file operations: a crash cannot leave writes incomplete, and agents cannot block removals."""

import errno
import os
import shutil
import stat
import time
from functools import partial
from pathlib import Path
from typing import Final

from heddle.files.durable import sync_folder

# How often the removal of a folder is tried while other processes create or remove files in it, and the seconds
# between two tries.
_REMOVALS: Final = 20
_PAUSE: Final = 0.02
_CHANGED: Final = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}
# Bytes that are compared at once.
_PIECE: Final = 1 << 20


def write_atomically(path: Path, text: str) -> None:
    """Writes `path` atomically: after a power failure it contains the old text or the new text."""
    scratch = _scratch(path)
    with scratch.open("x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    sync_folder(path.parent)


def replace(path: Path, text: str) -> None:
    """Writes `path` like `write_atomically`, but a power failure may leave it empty: the caller must check it before use."""
    scratch = _scratch(path)
    with scratch.open("x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    scratch.replace(path)


def copy_atomically(source: Path, target: Path) -> None:
    """Copies a file atomically: `target` is never incomplete. Never writes through a link."""
    scratch = _scratch(target)
    with source.open("rb") as original, scratch.open("xb") as copy:
        shutil.copyfileobj(original, copy)
    scratch.replace(target)


def are_equal(one: Path, other: Path) -> bool:
    """Returns whether two files have the same content; False if one cannot be read."""
    try:
        with one.open("rb") as first, other.open("rb") as second:
            if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
                return False
            return all(first.read(_PIECE) == piece for piece in iter(partial(second.read, _PIECE), b""))
    except OSError:
        return False


def remove(path: Path) -> None:
    """Removes a file, a link, a pipe or a whole folder. Idempotent; never follows a link.

    A folder is also removed if other processes write to it meanwhile, such as a sandbox that is starting there.
    Raises OSError if they do not stop, or if a file cannot be removed.
    """
    for left in reversed(range(_REMOVALS)):
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            return
        try:
            _remove_folder(path)
        except OSError as error:
            if error.errno not in _CHANGED or not left:
                raise
            time.sleep(_PAUSE)


def _remove_folder(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except PermissionError:
        # Rare, and looking at the permissions of all files first would take as long as the removal.
        unlock(path)
        shutil.rmtree(path)


def unlock(folder: Path) -> list[Path]:
    """Restores the service's permissions on everything in `folder`, which agents and module caches remove.

    Returns the paths that remain inaccessible because they belong to another user.
    """
    closed: list[Path] = []
    _open_folder(folder, closed)
    for parent, folders, names in os.walk(folder):
        # This happens before os.walk descends into the folders.
        for path in (Path(parent, name) for name in folders):
            if not path.is_symlink():
                _open_folder(path, closed)
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink() and not os.access(path, os.R_OK):
                _allow(path, 0o400, closed)
    return closed


def _open_folder(path: Path, closed: list[Path]) -> None:
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        _allow(path, 0o700, closed)


def _allow(path: Path, mode: int, closed: list[Path]) -> None:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
    except OSError:
        closed.append(path)


def _scratch(path: Path) -> Path:
    """Returns the temporary path for writing `path`; removes anything that exists there, for example a link."""
    scratch = path.with_name(f"{path.name}.new")
    remove(scratch)
    return scratch
