"""Finds the files that a check wrote or changed, and reads their content within limits."""

import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from heddle.files import beneath

MAX_BYTES: Final = 16 << 20

# Folders that contain very many files but no reports.
SKIPPED: Final = frozenset({".git", "node_modules", ".venv"})


class UnreadableError(Exception):
    """A report cannot be read. The message explains why."""


class Identity(NamedTuple):
    """The properties of a file that differ after it is replaced or changed."""

    modified_ns: int
    size: int
    inode: int


# Keys are paths relative to the folder, with "/" as separator.
Listing = Mapping[str, Identity]


def listing(folder: Path, wanted: re.Pattern[str]) -> Listing:
    """Returns the files below `folder` whose whole relative path matches `wanted`, without links."""
    found: dict[str, Identity] = {}
    with suppress(OSError):  # the folder was removed
        found.update(_walk(folder, wanted))
    return found


def _walk(folder: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, Identity]]:
    for path, entry in beneath.walk(folder, SKIPPED.__contains__):
        if wanted.fullmatch(path):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, Identity(status.st_mtime_ns, status.st_size, status.st_ino)


def changed(before: Listing, after: Listing) -> list[str]:
    """Returns the paths that are new or different in `after`, in the order of `after`.

    Times alone are not enough: file systems round them, and a check may be faster than their resolution.
    """
    return [path for path, identity in after.items() if before.get(path) != identity]


def read(folder: Path, path: str) -> bytes:
    """Returns the content of a file below `folder`.

    Raises UnreadableError for a link, also in place of a folder above it, and for a file that is too large.
    """
    try:
        # The file may have grown since it was listed.
        data = beneath.read(folder, path, MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"is larger than {MAX_BYTES >> 20} MiB")
    return data
