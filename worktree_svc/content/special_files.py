"""Finds pipes, sockets and devices where git opens files: git would wait forever for the other end of a pipe.

git never opens a special file with another name: it cannot store it, so such a file is left out of the work.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from heddle import errors
from heddle.files import beneath
from heddle.names import EpicName
from worktree_svc.content import additions
from worktree_svc.content.additions import Refused
from worktree_svc.git import refs
from worktree_svc.git.process.command import decode
from worktree_svc.storage import files

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# The files that git reads from a worktree, in any folder.
READ_BY_GIT: Final = frozenset({".gitattributes", ".gitignore", ".gitmodules", ".mailmap"})

_REPOSITORY: Final = ".git"

_MOST_POINTER_BYTES: Final = 64 << 10

_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check(worktree: Path) -> None:
    """Raises UNCOMMITTABLE_FILES if git would open a special file in the worktree."""
    if found := list(_in_worktree(worktree, files.unlock)):
        raise _refused(worktree, found)


def check_unchanged(worktree: Path) -> None:
    """Does the same as `check` without changing permissions, so folders that cannot be read are left out."""
    if found := list(_in_worktree(worktree, lambda _: ())):
        raise _refused(worktree, found)


def remove(worktree: Path) -> None:
    """Removes the special files that git would open; they have no content that could be lost."""
    _remove(_in_worktree(worktree, files.unlock))


def remove_from_repository(git_dir: Path) -> None:
    """Removes the special files from a git folder that an agent can write to, but not from where its links lead."""
    _remove(_in_repository(git_dir, files.unlock))


def remove_from_refs(common: Path, epic: EpicName) -> None:
    """Removes the special files next to an epic's branch in the project, where an agent without a sandbox can write."""
    branch = Path(refs.branch_ref(epic.branch))
    for folder in (common / branch.parent, common / "logs" / branch.parent):
        _remove(_in_repository(folder, files.unlock))


def _remove(found: Iterator[tuple[Path, str]]) -> None:
    for path, kind in list(found):
        log.warning("special_file_removed", path=str(path), kind=kind)
        with suppress(FileNotFoundError):
            path.unlink()


def _refused(worktree: Path, found: list[tuple[Path, str]]) -> errors.HeddleError:
    why = "git reads files of this name"
    named = [Refused(str(path.relative_to(worktree)), f"it is {kind}, and {why}") for path, kind in found]
    return additions.uncommittable(sorted(named))


def _in_worktree(worktree: Path, unlock: Callable[[Path], object]) -> Iterator[tuple[Path, str]]:
    pending = [str(worktree)]
    while pending:
        folder = pending.pop()
        for entry in _entries(folder, unlock):
            if entry.is_dir(follow_symlinks=False):
                if entry.name == _REPOSITORY:
                    yield from _in_repository(Path(entry.path), unlock)
                else:
                    pending.append(entry.path)
            elif entry.name in READ_BY_GIT:
                # git does not follow links with these names.
                if kind := _kind(entry, follow=False):
                    yield Path(entry.path), kind
            elif entry.name == _REPOSITORY and folder != str(worktree):
                yield from _in_named(Path(entry.path), worktree, unlock)


def _in_named(pointer: Path, worktree: Path, unlock: Callable[[Path], object]) -> Iterator[tuple[Path, str]]:
    """Yields the special files in the repository that a file .git, or a link in its place, names."""
    target = pointer
    with suppress(OSError):
        text = decode(beneath.read_file(pointer, _MOST_POINTER_BYTES))
        target = pointer.parent / text.removeprefix("gitdir:").strip()
    with suppress(OSError, ValueError):
        target = target.resolve()
        if target != worktree and target.is_relative_to(worktree) and target.is_dir():
            yield from _in_repository(target, unlock)


def _in_repository(folder: Path, unlock: Callable[[Path], object]) -> Iterator[tuple[Path, str]]:
    pending = [str(folder)]
    while pending:
        for entry in _entries(pending.pop(), unlock):
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            # git follows links here. It creates sockets itself, and opening one fails at once.
            elif (kind := _kind(entry, follow=True)) and kind != "a socket":
                yield Path(entry.path), kind


def _kind(entry: os.DirEntry[str], *, follow: bool) -> str:
    """Returns the kind of a special file; empty for any other."""
    if entry.is_file(follow_symlinks=False) or (entry.is_symlink() and not follow):
        return ""
    try:
        mode = entry.stat(follow_symlinks=follow).st_mode
    except OSError:  # a link that leads nowhere, or removed meanwhile
        return ""
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")


def _entries(folder: str, unlock: Callable[[Path], object]) -> list[os.DirEntry[str]]:
    """Returns what is in a folder; empty if it cannot be read, even after `unlock` has changed its permissions."""
    for is_last in (False, True):
        try:
            with os.scandir(folder) as found:
                return list(found)
        except PermissionError:
            if not is_last:
                unlock(Path(folder))
        except OSError:  # not a folder, or removed meanwhile
            break
    return []
