"""The parts of a repository that git needs to write when an agent commits in its worktree.

A commit writes the worktree's own git folder (HEAD, index, logs), new objects, and the branch
with its log. Everything else is read-only: the configuration, the hooks, packs, other branches,
other worktrees.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from heddle import beneath
from heddle.names import EpicName
from heddle.worktree_paths import view_of

# Files that tell git where the shared folder and the worktree are. Whoever writes them can redirect git.
POINTERS: Final = ("commondir", "gitdir")

# Subfolders of objects that stay read-only: references to other repositories, and packs.
KEPT_OBJECTS: Final = ("info", "pack")

# The longest content of a file that names a folder.
MOST_POINTER_BYTES: Final = 64 << 10


class Checkout(NamedTuple):
    """A worktree's git folder, and the folder that all worktrees of its repository share."""

    git_dir: Path
    common: Path
    # The folder that git there uses as `common`: links into it, and the worktree's own refs. None: it has none.
    view: Path | None = None

    def writable(self, epic: EpicName | None) -> list[Path]:
        """Returns the folders that a commit on the branch of `epic` writes. None: a commit on no branch."""
        folders = [self.git_dir, self.common / "objects"]
        if epic is not None:
            branches = Path("refs", "heads", epic.branch).parent
            folders += [self.common / branches, self.common / "logs" / branches]
        if self.view is not None:
            # Only its own refs, because the rest determines where the configuration is.
            folders += [self.view / "refs", self.view / "logs" / "refs"]
        return folders

    def read_only(self) -> list[Path]:
        """Returns the paths inside the writable folders that are read-only."""
        return [
            *(self.git_dir / name for name in POINTERS),
            *(self.common / "objects" / name for name in KEPT_OBJECTS),
        ]


def checkout(worktree: Path) -> Checkout | None:
    """Returns the git folders of a linked worktree, or None if `worktree` is not one.

    Trusts only the file .git, which agents cannot write. Git's other files could redirect
    a later session.
    """
    try:
        pointer = beneath.read_file(worktree / ".git", MOST_POINTER_BYTES)
    except OSError:
        return None
    word, _, path = os.fsdecode(pointer).rstrip("\n").partition(" ")
    git_dir = Path(path)
    if word != "gitdir:" or git_dir.parent.name != "worktrees" or not git_dir.is_dir():
        return None
    view = view_of(worktree)
    return Checkout(git_dir, git_dir.parent.parent, view if view.is_dir() and not view.is_symlink() else None)
