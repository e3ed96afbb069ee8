"""Tells what the environment lacks from what is wrong with a request.

The repository of a run was there when the run was created. Where a later call finds
it away, read-only or unreadable, that is no fault of the attempt: the error becomes
PROJECT_UNAVAILABLE, nothing was changed, and the same call works once it is back.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heddle import errors, pb, urls
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.projects.repository import mirror_of

# These say something about the caller, whatever the disk is like.
_ITS_OWN: Final = frozenset(
    {
        pb.ERROR_REASON_STALE_EPOCH,
        pb.ERROR_REASON_STALE_ATTEMPT,
        pb.ERROR_REASON_DISK_FULL,
        pb.ERROR_REASON_NO_DESCRIPTORS,
        pb.ERROR_REASON_NO_PORTS,
    }
)

# What systems and git say where a disk is read-only, broken or was taken away.
_BROKEN: Final = frozenset({errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENXIO, errno.ENODEV})
_SIGNS: Final = tuple(os.strerror(number) for number in sorted(_BROKEN))


@contextmanager
def told(folders: PrivateFolders, project: str) -> Iterator[None]:
    """Turns what goes wrong in the block, where the repository of `project` is to blame, into PROJECT_UNAVAILABLE."""
    try:
        yield
    except errors.HeddleError as error:
        if error.reason in _ITS_OWN:
            raise
        if error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY:
            raise _unavailable(project, error.message) from error
        found = trouble(_folder(folders, project)) or _sign(error.message)
        if found:
            raise _unavailable(project, found) from error
        raise
    except OSError as error:
        found = trouble(_folder(folders, project))
        if error.errno in _BROKEN:
            found = found or f"{error.filename or project}: {error.strerror}"
        if not found:
            raise
        raise _unavailable(project, found) from error


def trouble(folder: Path) -> str:
    """Returns why the repository at `folder` cannot be used now, in plain words; empty if it seems well."""
    if not folder.is_dir():
        return f"{folder} is not there"
    git_folder = folder / ".git"
    common = git_folder if git_folder.is_dir() else folder
    # A linked worktree has a file there, and a bare repository nothing.
    for part in (common / "objects", common / "refs") if not git_folder.is_file() else ():
        if not part.is_dir():
            return f"{folder} holds no git repository any more: {part} is not there"
        if not os.access(part, os.R_OK | os.W_OK | os.X_OK):
            return f"{part} cannot be written (it is read-only, or belongs to another user)"
    return ""


def _folder(folders: PrivateFolders, project: str) -> Path:
    return mirror_of(folders, project) if urls.is_url(project) else Path(project)


def _sign(message: str) -> str:
    return message if any(sign in message for sign in _SIGNS) else ""


def _unavailable(project: str, found: str) -> errors.HeddleError:
    return errors.HeddleError(
        pb.ERROR_REASON_PROJECT_UNAVAILABLE,
        f"the repository cannot be used now: {found.rstrip('.')}. Put it back (mount it, make it writable);"
        " work continues by itself then. Nothing was changed.",
        project=urls.redacted(project),
    )
