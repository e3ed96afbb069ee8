"""Copies files between a folder that an agent wrote and one that it must not reach. Linux and macOS.

No link is followed in the agent's folder, or below the other one: an agent can replace any path at any time. Only
regular files are copied, and a copy is never executable.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

# Limits of one copy: bytes of all files, their number, and the depth of folders.
MAX_BYTES: Final = 512 << 20
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 8

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 20


class TooMuchError(Exception):
    """The files exceed a limit; what was copied so far stays."""


class Copier:
    """Copies the files that match globs. A glob that ends with / matches everything below a folder."""

    def __init__(self, globs: Sequence[str], *, replaces: bool = True) -> None:
        # The parts of each glob, and whether it stands for everything below a folder.
        self._globs = [(PurePosixPath(glob).parts, glob.endswith("/")) for glob in globs]
        self._replaces = replaces
        self._bytes = MAX_BYTES
        self._files = MAX_FILES

    def copy(self, source: Path, target: Path) -> None:
        """Copies the matching files below `source` to the same names below `target`.

        Without `replaces`, skips files that exist in `target`. Raises OSError if `target` cannot be written,
        and TooMuchError above a limit.
        """
        target.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            with _opened(source, None) as found, _opened(target, None) as goal:
                self._folder(found, goal, ())

    def _folder(self, source: int, target: int, above: tuple[str, ...]) -> None:
        for name in sorted(os.listdir(source)):
            parts = (*above, name)
            if not self._may_match(parts):
                continue
            try:
                status = os.stat(name, dir_fd=source, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode) and len(parts) < MAX_DEPTH:
                self._subfolder(name, source, target, parts)
            elif stat.S_ISREG(status.st_mode) and self._matches(parts):
                self._file(name, source, target)

    def _subfolder(self, name: str, source: int, target: int, parts: tuple[str, ...]) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=target)
        try:
            inner = os.open(name, _FOLDER, dir_fd=source)
        except OSError:
            return
        try:
            with _opened(Path(name), target) as goal:
                self._folder(inner, goal, parts)
        except OSError as error:
            # A link or a file in its place is not the user's folder.
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
        finally:
            os.close(inner)
        with suppress(OSError):  # it has files
            os.rmdir(name, dir_fd=target)

    def _file(self, name: str, source: int, target: int) -> None:
        if _exists(name, target) and not self._replaces:
            return
        try:
            found = os.open(name, _FILE, dir_fd=source)
        except OSError:
            return
        try:
            if stat.S_ISREG(os.fstat(found).st_mode):
                self._write(found, name, target)
        finally:
            os.close(found)

    def _write(self, found: int, name: str, target: int) -> None:
        self._files -= 1
        self._count(0)
        scratch = f".{name}.heddle"
        with suppress(FileNotFoundError):
            os.unlink(scratch, dir_fd=target)
        new = os.open(scratch, _NEW, 0o600, dir_fd=target)
        try:
            while data := os.read(found, _CHUNK):
                self._count(len(data))
                view = memoryview(data)
                while view:
                    view = view[os.write(new, view) :]
            os.rename(scratch, name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            with suppress(OSError):
                os.unlink(scratch, dir_fd=target)
            raise
        finally:
            os.close(new)

    def _count(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0 or self._files < 0:
            raise TooMuchError(f"more than {MAX_BYTES >> 20} MiB or {MAX_FILES} files")

    def _matches(self, parts: tuple[str, ...]) -> bool:
        return any(
            all(map(fnmatchcase, parts, glob))
            and (len(parts) > len(glob) if below else len(parts) == len(glob))
            for glob, below in self._globs
        )

    def _may_match(self, parts: tuple[str, ...]) -> bool:
        """Returns whether the path, or something below it, can match."""
        return any(
            all(map(fnmatchcase, parts, glob)) and (below or len(parts) <= len(glob))
            for glob, below in self._globs
        )


@contextmanager
def _opened(path: Path, parent: int | None) -> Iterator[int]:
    """Opens a folder. Without `parent`, the path may contain links: it is not the agent's."""
    descriptor = os.open(path, _FOLDER & ~os.O_NOFOLLOW if parent is None else _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
