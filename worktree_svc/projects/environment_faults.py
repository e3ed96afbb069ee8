"""Distinguishes faults of the environment from errors of a request.

The repository of a run existed when the run was created. If a later call finds it
missing, read-only or unreadable, the attempt is not at fault, and the error becomes
PROJECT_UNAVAILABLE. The call has changed nothing, and the same call works once the
repository is available again.
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

# Errors with their own cause, independent of the state of the repository.
_ITS_OWN: Final = frozenset(
    {
        pb.ERROR_REASON_STALE_EPOCH,
        pb.ERROR_REASON_STALE_ATTEMPT,
        pb.ERROR_REASON_DISK_FULL,
        pb.ERROR_REASON_NO_DESCRIPTORS,
        pb.ERROR_REASON_NO_PORTS,
    }
)

# Errors of the system and of git that mean that a disk is read-only, broken or removed.
_BROKEN: Final = frozenset({errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENXIO, errno.ENODEV})
_SIGNS: Final = tuple(os.strerror(number) for number in sorted(_BROKEN))


@contextmanager
def as_project_unavailable(folders: PrivateFolders, project: str) -> Iterator[None]:
    """Turns errors in the block into PROJECT_UNAVAILABLE if they are caused by the repository of `project`."""
    try:
        yield
    except errors.HeddleError as error:
        if error.reason in _ITS_OWN:
            raise
        if error.reason == pb.ERROR_REASON_NOT_A_REPOSITORY:
            raise _unavailable(project, error.message) from error
        found = fault_in(_folder(folders, project)) or _sign(error.message)
        if found:
            raise _unavailable(project, found) from error
        raise
    except OSError as error:
        found = fault_in(_folder(folders, project))
        if error.errno in _BROKEN:
            found = found or f"{error.filename or project}: {error.strerror}"
        if not found:
            raise
        raise _unavailable(project, found) from error


def fault_in(folder: Path) -> str:
    """Returns the reason why the repository at `folder` cannot be used now; empty if it seems usable."""
    if not folder.is_dir():
        return f"{folder} does not exist"
    git_folder = folder / ".git"
    common = git_folder if git_folder.is_dir() else folder
    # A linked worktree has a .git file, and a bare repository has no .git.
    for part in (common / "objects", common / "refs") if not git_folder.is_file() else ():
        if not part.is_dir():
            return f"{folder} is no longer a git repository: {part} does not exist"
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
        f"the repository cannot be used now: {found.rstrip('.')}. Make it available again (mount it, make it writable);"
        " work then continues by itself. Nothing was changed.",
        project=urls.redacted(project),
    )
