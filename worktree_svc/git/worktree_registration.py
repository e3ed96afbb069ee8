"""Registers a worktree in a repository, so that no git process ever sees an incomplete one.

`git worktree add` leaves a file empty for a moment, and every git process that lists
the worktrees fails at that moment: the user's own, and those of agents in other
worktrees. Here the files of a worktree's registration are written elsewhere and moved
into place at once. Their format is that of gitrepository-layout(5) and git-worktree(1).
"""

import errno
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from worktree_svc.git.command import Git
from worktree_svc.storage import files

# Settings of the repository's own checkout only. A worktree of an epic always has all files: with the
# user's sparse checkout, an agent's git would remove files that it does not need to touch.
_OWN_SETTINGS: Final = (
    "core.bare",
    "core.worktree",
    "core.sparseCheckout",
    "core.sparseCheckoutCone",
    "index.sparse",
)

# The folder in which a registration is prepared, in the repository's git folder.
_STAGED: Final = "heddle-worktree"

# Errors of the move if another worktree has the name, or if git has just removed the empty parent folder.
_TAKEN: Final = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT}


def add(common: Path, path: Path, commit: str) -> None:
    """Makes `path`, where nothing exists, a worktree with detached HEAD `commit`, still without files.

    The caller holds the repository's lock: see locks.RepositoryLocks.
    """
    staged = common / _STAGED
    # Left by a service that was killed.
    files.remove(staged)
    staged.mkdir()
    pointer = path / ".git"
    (staged / "gitdir").write_text(f"{pointer}\n", errors="surrogateescape")
    (staged / "HEAD").write_text(f"{commit}\n")
    # If it were empty after a power cut, it would break every git process that lists worktrees.
    files.write_atomically(staged / "commondir", "../..\n")
    _copy_settings(common, staged)
    path.mkdir()
    for folder in _names(common / "worktrees", path.name):
        pointer.write_text(f"gitdir: {folder}\n", errors="surrogateescape")
        folder.parent.mkdir(exist_ok=True)
        try:
            staged.rename(folder)
        except OSError as error:
            if error.errno not in _TAKEN or not staged.exists():
                raise
        else:
            return


def _names(parent: Path, name: str) -> Iterator[Path]:
    """Yields free folders for a worktree of that name: with a number appended if another one has it."""
    for number in itertools.count():
        folder = parent / f"{name}{number or ''}"
        if not folder.exists():
            yield folder


def _copy_settings(common: Path, folder: Path) -> None:
    """Copies the repository's per-worktree settings to the worktree, as git does."""
    own = common / "config.worktree"
    if own.is_file():
        settings = folder / "config.worktree"
        shutil.copyfile(own, settings)
        for name in _OWN_SETTINGS:
            Git(common, git_dir=common).run("config", "--file", str(settings), "--unset-all", name)
