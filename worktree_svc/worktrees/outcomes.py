"""What calls about worktrees come to."""

from pathlib import Path
from typing import NamedTuple

from worktree_svc.content.snapshots import Kept
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_states import State


class Ensured(NamedTuple):
    """A worktree that is ready for its attempt."""

    state: State
    path: Path
    created: bool
    # Where the links in it lead.
    shared: tuple[Path, ...]


class Discarded(NamedTuple):
    """What became of a failed attempt's work; None if it left nothing."""

    project: Project
    head: str
    kept: Kept | None


class Removed(NamedTuple):
    """What became of a worktree that was to be removed."""

    was_there: bool
    path: Path
    # What is archived of its epic, now or before. None: nothing is.
    archived: str | None


class Restored(NamedTuple):
    """A worktree that holds again what was archived."""

    state: State
    archived: str
