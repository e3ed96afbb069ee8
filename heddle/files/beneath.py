"""Reads, lists and creates files below a folder that an agent can write to. Follows no link.

An agent can replace any part of a path at any moment, so what a check found may no longer be true when the path is
used. These functions therefore open each part of a path relative to the descriptor of its parent, and check what they
have opened. The root is trusted: it and the folders above it may be links. Paths below it are relative, without "..".
All functions raise OSError.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO, Final

# The most levels of folders that `walk` descends.
MAX_DEPTH: Final = 100

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Opening a pipe must not wait for its other end.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def folder(root: Path, path: PurePath | str = ".", *, create: bool = False) -> Iterator[int]:
    """Yields a descriptor of the folder `path` below `root`; with `create`, creates missing folders."""
    current = os.open(root, _FOLDER)
    try:
        for part in _parts(path):
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=current)
            below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def open_file(root: Path, path: PurePath | str) -> BinaryIO:
    """Opens a regular file for reading."""
    *above, name = _parts(path)
    with folder(root, PurePosixPath(*above)) as parent:
        return _regular(os.open(name, _FILE, dir_fd=parent))


def read(root: Path, path: PurePath | str, limit: int) -> bytes:
    """Returns the first `limit` bytes of a regular file."""
    with open_file(root, path) as file:
        return file.read(limit)


def read_file(path: Path | str, limit: int) -> bytes:
    """Returns the first `limit` bytes of a regular file whose folder is trusted."""
    with _regular(os.open(path, _FILE)) as file:
        return file.read(limit)


def new_file(root: Path, path: PurePath | str) -> BinaryIO:
    """Creates a file, and missing folders above it, and opens it for writing; raises FileExistsError."""
    *above, name = _parts(path)
    with folder(root, PurePosixPath(*above), create=True) as parent:
        return os.fdopen(os.open(name, _NEW, 0o666, dir_fd=parent), "wb")


def create(root: Path, path: PurePath | str, content: bytes) -> bool:
    """Creates a file and missing folders above it.

    Returns False, and changes nothing, if anything exists at `path`, for example a link.
    """
    try:
        with new_file(root, path) as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def entries(descriptor: int) -> list[os.DirEntry[str]]:
    """Returns what is in an open folder, sorted by name. Use the entries while the folder is open."""
    with os.scandir(descriptor) as found:
        return sorted(found, key=lambda entry: entry.name)


def walk(root: Path, is_skipped: Callable[[str], bool]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields everything below `root` that is not a folder, by its path with "/" as separator.

    `is_skipped` returns whether to leave out a folder of this name. Leaves out folders that cannot be read, and
    folders more than MAX_DEPTH levels down. An entry can be used until the next one is requested.
    """
    with folder(root) as top:
        yield from _walk(top, "", is_skipped, MAX_DEPTH)


def _walk(
    descriptor: int, above: str, is_skipped: Callable[[str], bool], depth: int
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    folders = []
    for entry in entries(descriptor):
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
        else:
            yield f"{above}{entry.name}", entry
    for name in folders if depth else ():
        if is_skipped(name):
            continue
        try:
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
        except OSError:  # removed or replaced meanwhile, or not readable
            continue
        try:
            yield from _walk(below, f"{above}{name}/", is_skipped, depth - 1)
        finally:
            os.close(below)


def _regular(descriptor: int) -> BinaryIO:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _parts(path: PurePath | str) -> tuple[str, ...]:
    parts = PurePosixPath(path).parts
    if ".." in parts or parts[:1] == ("/",):
        raise OSError(errno.EXDEV, "the path leads out of its folder", str(path))
    return parts
