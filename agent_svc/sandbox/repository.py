"""What an agent's git needs of the repository that its worktree belongs to.

Commits of an agent write its worktree's own git folder (HEAD, index, logs), new
objects, and its branch with its log. All else is read-only: the configuration, the
hooks, packs, other branches, other worktrees.
"""

from pathlib import Path
from typing import Final, NamedTuple

from heddle.names import EpicName
from heddle.worktree_paths import view_of

# Where git looks for what is shared, and for the worktree: who could write these, could name others.
POINTERS: Final = ("commondir", "gitdir")

# Of the objects: other repositories to read from, and all that has been packed.
KEPT_OBJECTS: Final = ("info", "pack")


class Checkout(NamedTuple):
    """A worktree's git folder, and the folder that all worktrees of its repository share."""

    git_dir: Path
    common: Path
    # What git there takes for `common`: links into it, and refs of the worktree's own. None: it has none.
    view: Path | None = None

    def writable(self, epic: EpicName | None) -> list[Path]:
        """Returns the folders that commits on the branch of `epic` write; without one, on no branch."""
        folders = [self.git_dir, self.common / "objects"]
        if epic is not None:
            branches = Path("refs", "heads", epic.branch).parent
            folders += [self.common / branches, self.common / "logs" / branches]
        if self.view is not None:
            # Of its own refs only: the rest of it says where the configuration is.
            folders += [self.view / "refs", self.view / "logs" / "refs"]
        return folders

    def read_only(self) -> list[Path]:
        """Returns the paths inside the writable folders that are read-only."""
        return [
            *(self.git_dir / name for name in POINTERS),
            *(self.common / "objects" / name for name in KEPT_OBJECTS),
        ]


def checkout(worktree: Path) -> Checkout | None:
    """Returns the git folders of a linked worktree; None if `worktree` is not one.

    Only the file .git is believed, which agents cannot write: others of git's files
    could send a later session elsewhere.
    """
    pointer = worktree / ".git"
    if pointer.is_symlink() or not pointer.is_file():
        return None
    word, _, path = pointer.read_text(errors="surrogateescape").rstrip("\n").partition(" ")
    git_dir = Path(path)
    if word != "gitdir:" or git_dir.parent.name != "worktrees" or not git_dir.is_dir():
        return None
    view = view_of(worktree)
    return Checkout(git_dir, git_dir.parent.parent, view if view.is_dir() and not view.is_symlink() else None)
