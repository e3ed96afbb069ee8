"""Recovers before the service serves: none of its git processes is running, so all its locks are stale."""

from pathlib import Path

import structlog

from heddle.errors import HeddleError
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import QUARANTINE
from worktree_svc.projects import repository
from worktree_svc.storage import files
from worktree_svc.storage.worktree_store import WorktreeStore

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def break_locks(store: WorktreeStore, folders: PrivateFolders) -> None:
    """Removes the locks on refs of this data folder's runs, which remain if the machine stops."""
    runs = {(state.project, state.epic.run) for _, state in store.all()}
    for top, run in sorted(runs):
        try:
            common = repository.find(folders, str(top)).common
        except HeddleError as error:
            log.warning("project_unreachable", project=str(top), error=error.message)
            continue
        for left in (common / "objects").glob(f"{QUARANTINE}*"):
            files.remove(left)
        ours = common / "refs" / "heddle"
        for folder in (common / "refs" / "heads" / "heddle", *ours.glob("*")):
            _break(folder / run)
        (ours / "merged" / f"{run}.lock").unlink(missing_ok=True)


def _break(folder: Path) -> None:
    for lock in folder.rglob("*.lock"):
        log.warning("stale_lock_removed", path=str(lock))
        lock.unlink(missing_ok=True)
