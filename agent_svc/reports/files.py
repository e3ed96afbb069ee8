"""Which files a check wrote or changed, and their content within limits."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

MAX_BYTES: Final = 16 << 20

# Folders that hold no reports and very many files.
SKIPPED: Final = frozenset({".git", "node_modules", ".venv"})


class UnreadableError(Exception):
    """A report cannot be read; the message says why."""


class Identity(NamedTuple):
    """What differs after a file was replaced or changed."""

    modified_ns: int
    size: int
    inode: int


# By path relative to the folder, "/" between its parts.
Listing = Mapping[str, Identity]


def listing(folder: Path, wanted: re.Pattern[str]) -> Listing:
    """Returns the files below `folder` whose relative path `wanted` matches fully; links are left out."""
    return dict(_walk(folder, wanted))


def _walk(folder: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, Identity]]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(files):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if wanted.fullmatch(relative):
                try:
                    status = path.lstat()
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield relative, Identity(status.st_mtime_ns, status.st_size, status.st_ino)


def changed(before: Listing, after: Listing) -> list[str]:
    """Returns what is new or different in `after`, in its order.

    Times alone are not enough: file systems round them, and a check may take less than that.
    """
    return [path for path, identity in after.items() if before.get(path) != identity]


def read(path: Path) -> bytes:
    """Returns the content of a file; raises UnreadableError for a link, a device or a file too large."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as opened:
            # It may have grown since it was looked at.
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"is larger than {MAX_BYTES >> 20} MiB")
    return data
