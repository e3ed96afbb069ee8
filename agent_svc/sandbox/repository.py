"""The parts of a repository that git needs to write when an agent commits in its worktree.

A commit writes the worktree's own git folder (HEAD, index, logs), and objects, refs and their logs in the worktree's
view of the repository. Everything else is read-only: the whole repository of the project, and the view's
configuration and links.
"""

from pathlib import Path
from typing import Final, NamedTuple

from heddle.files.worktree_paths import git_folder_of, read_record, view_of

# Files that tell git where the shared folder and the worktree are. Whoever writes them can redirect git.
POINTERS: Final = ("commondir", "gitdir")


class Checkout(NamedTuple):
    """The folders of git that belong to a worktree."""

    # With the worktree's HEAD and index.
    git_dir: Path
    # The folder that git uses as the worktree's repository: own objects and refs, and links.
    view: Path
    # The git folder of the project's repository.
    common: Path

    def writable(self) -> list[Path]:
        """Returns the folders that a commit writes."""
        return [self.git_dir, *(self.view / name for name in ("objects", "refs", "logs"))]

    def read_only(self) -> list[Path]:
        """Returns the paths around and inside the writable folders that are read-only."""
        # Others of `objects/info` would let git read objects of any repository.
        return [
            self.common,
            self.view,
            *(self.git_dir / name for name in POINTERS),
            self.view / "objects" / "info",
        ]


def checkout(worktree: Path) -> Checkout | None:
    """Returns the git folders of a worktree that worktree_svc made, or None if `worktree` is not one.

    Trusts only its record, which agents cannot write. Git's own files could redirect a later session.
    """
    record = read_record(worktree)
    if record is None or record.common is None:
        return None
    git_dir, view = git_folder_of(worktree), view_of(worktree)
    # Links would lead a sandbox to other folders.
    if any(each.is_symlink() or not each.is_dir() for each in (view, git_dir.parent, git_dir)):
        return None
    return Checkout(git_dir, view, record.common)
