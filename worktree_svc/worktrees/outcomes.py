"""The results of calls about worktrees."""

from pathlib import Path
from typing import NamedTuple

from worktree_svc.content.snapshots import Kept
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreeState


class Ensured(NamedTuple):
    """A worktree that is ready for its attempt."""

    state: WorktreeState
    path: Path
    created: bool


class Discarded(NamedTuple):
    """A failed attempt's discarded work; `kept` is None if the attempt changed nothing."""

    project: Project
    head: str
    kept: Kept | None


class Removed(NamedTuple):
    """A removed worktree."""

    existed: bool
    path: Path
    # The commit of the epic's archive, whether new or older. None: there is no archive.
    archived: str | None


class Restored(NamedTuple):
    """A worktree that was restored from its archive."""

    state: WorktreeState
    archived: str
