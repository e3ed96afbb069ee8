"""Moves worktrees away that contain another user's files, for example from a container that ran as root."""

import itertools
from pathlib import Path

import structlog

from worktree_svc.storage import files
from worktree_svc.storage.worktree_states import Place, States

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def try_remove(path: Path) -> bool:
    """Removes a folder; returns False if another user's files are in it."""
    try:
        files.remove(path)
    except PermissionError:
        return False
    return True


def set_aside(states: States, place: Place) -> None:
    """Moves a worktree whose files can be neither kept in git nor removed to HEDDLE_HOME/aside."""
    aside = states.folder.with_name("aside")
    aside.mkdir(exist_ok=True)
    if place.path.is_dir():
        stem = f"{place.epic.run}-{place.epic.epic}"
        target = next(
            path for number in itertools.count(1) if not (path := aside / f"{stem}-{number}").exists()
        )
        place.path.rename(target)
        log.warning("worktree_set_aside", epic=str(place.epic), path=str(target))
    files.remove(place.closed)
