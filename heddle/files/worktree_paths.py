"""Paths on a worker's disk that its services share. They are derived from names, never taken from a request.

HEDDLE_HOME/worktrees/RUN/EPIC/        an epic's worktree
HEDDLE_HOME/worktrees/RUN/EPIC.json    its record, written by worktree_svc
HEDDLE_HOME/worktrees/RUN/EPIC.git/    the repository that git uses in it: its view of the project's repository
HEDDLE_HOME/merges/RUN/merge/          the temporary worktree of a merge, with the same files next to it
"""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from heddle import errors
from heddle.names import EpicName, RunName

# The folders below HEDDLE_HOME.
WORKTREES: Final = "worktrees"
MERGES: Final = "merges"

# The name of a merge's worktree, in place of an epic's key.
MERGE: Final = "merge"


class WorktreeRecord(NamedTuple):
    """What worktree_svc knows about a worktree and agent_svc relies on."""

    # The git folder of the project's repository. None: recorded by an earlier version.
    common: Path | None
    # The targets of links in the worktree, to which setup, agents and checks may write.
    shared: tuple[Path, ...]


def worktree_of(home: Path, name: EpicName | RunName) -> Path:
    """Returns the path of an epic's worktree, or of the temporary worktree of a run's merge; it may not exist."""
    home = home.resolve()
    if isinstance(name, EpicName):
        return home / WORKTREES / name.run / name.epic
    return home / MERGES / name.run / MERGE


def view_of(worktree: Path) -> Path:
    """Returns the folder that git uses in a worktree as its common directory."""
    return worktree.with_name(f"{worktree.name}.git")


def git_folder_of(worktree: Path) -> Path:
    """Returns the git folder of a worktree, with its HEAD and index."""
    return view_of(worktree) / "worktrees" / worktree.name


def record_file_of(worktree: Path) -> Path:
    """Returns the path of a worktree's record."""
    return worktree.with_name(f"{worktree.name}.json")


def find_worktree(home: Path, name: EpicName | RunName, field: str) -> Path:
    """Returns the path of an existing worktree; raises INVALID_FIELD for `field` of a request if there is none."""
    worktree = worktree_of(home, name)
    if worktree.is_symlink() or not worktree.is_dir() or read_record(worktree) is None:
        raise errors.invalid_field(field, f"this worker has no worktree of {name}")
    return worktree


def shared_folders(worktree: Path) -> tuple[Path, ...]:
    """Returns the targets of links in a worktree, as worktree_svc recorded them; empty without a record."""
    record = read_record(worktree)
    return record.shared if record else ()


def read_record(worktree: Path) -> WorktreeRecord | None:
    """Returns the record of a worktree; None if it has none, so no worktree of Heddle is there."""
    try:
        fields: dict[str, Any] = json.loads(record_file_of(worktree).read_text(encoding="utf-8"))
        common = fields.get("common")
        return WorktreeRecord(Path(common) if common else None, tuple(map(Path, fields.get("shared", ()))))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
