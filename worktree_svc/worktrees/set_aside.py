"""Moves away worktrees that contain another user's files, for example from a container that ran as root."""

import itertools
from pathlib import Path

import structlog

from heddle.files import data_folder
from worktree_svc.storage import files
from worktree_svc.storage.worktree_store import WorktreePaths, WorktreeStore

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def try_remove(path: Path) -> bool:
    """Removes a folder; returns False if it contains another user's files."""
    try:
        files.remove(path)
    except PermissionError:
        return False
    return True


def set_aside(store: WorktreeStore, paths: WorktreePaths) -> None:
    """Moves a worktree to HEDDLE_HOME/aside if its files can be neither kept in git nor removed."""
    aside = store.folder.with_name(data_folder.ASIDE)
    aside.mkdir(exist_ok=True)
    if paths.worktree.is_dir():
        stem = f"{paths.epic.run}-{paths.epic.epic}"
        target = next(
            path for number in itertools.count(1) if not (path := aside / f"{stem}-{number}").exists()
        )
        paths.worktree.rename(target)
        log.warning("worktree_set_aside", epic=str(paths.epic), path=str(target))
    files.remove(paths.closed)
