"""Enforces the low-water mark: no new work starts on a disk that is nearly full."""

import errno
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from heddle import errors, pb

# Returns the free bytes on the disk that contains a folder.
FreeBytes = Callable[[Path], int]

# Returns whether the disk of a folder has this many bytes above the low-water mark.
HasRoom = Callable[[Path, int], bool]


def free_bytes(folder: Path) -> int:
    """Returns the free bytes that an unprivileged user may write on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def check(folders: Iterable[Path], needed: int, free: FreeBytes) -> None:
    """Raises DISK_FULL if the disk of any of `folders` has fewer than `needed` free bytes."""
    for folder in folders:
        found = free(folder)
        if found < needed:
            raise errors.HeddleError(
                pb.ERROR_REASON_DISK_FULL,
                f"the disk of {folder} has {found >> 20} MiB free, and new work needs {needed >> 20} MiB."
                " Free some space (old worktrees, build caches), or lower HEDDLE_MIN_FREE_BYTES."
                " Nothing was changed.",
                path=folder,
                free_bytes=found,
                needed_bytes=needed,
            )


@contextmanager
def os_errors_translated() -> Iterator[None]:
    """Turns the system's errors about missing space or file descriptors into DISK_FULL and NO_DESCRIPTORS."""
    try:
        yield
    except OSError as error:
        if errors.lacks_descriptors(error):
            raise errors.no_descriptors(error) from error
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise errors.HeddleError(
            pb.ERROR_REASON_DISK_FULL,
            f"the disk is full: {error.filename or error}. Free some space, then try again; nothing was lost.",
            path=error.filename or "",
        ) from error
