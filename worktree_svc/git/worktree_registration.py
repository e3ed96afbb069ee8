"""Makes a worktree known to a repository, so that no git ever sees half of it.

`git worktree add` leaves a file empty for a moment, and every git that looks at
the list of worktrees then dies of that: the user's own, and those of agents in
other worktrees. Here what git knows of a worktree is written elsewhere and moved
in whole. It is what gitrepository-layout(5) and git-worktree(1) say.
"""

import errno
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from worktree_svc.git.command import Git
from worktree_svc.storage import files

# What holds for a repository's own files alone. A worktree of an epic always has all files: the user's
# sparse checkout would only make an agent's git take away what it need not touch.
_OWN_SETTINGS: Final = (
    "core.bare",
    "core.worktree",
    "core.sparseCheckout",
    "core.sparseCheckoutCone",
    "index.sparse",
)

# Where it is written first, below the repository's folder.
_STAGED: Final = "heddle-worktree"

# What a move says where another worktree has the name, or where git has just removed the empty folder above.
_TAKEN: Final = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT}


def add(common: Path, path: Path, commit: str) -> None:
    """Makes `path`, where nothing is, a worktree that stands on `commit`, still without files.

    The caller holds the repository's lock: see locks.RepositoryLocks.
    """
    staged = common / _STAGED
    # Of a service that was killed.
    files.remove(staged)
    staged.mkdir()
    pointer = path / ".git"
    (staged / "gitdir").write_text(f"{pointer}\n", errors="surrogateescape")
    (staged / "HEAD").write_text(f"{commit}\n")
    # Empty after a power cut, it would break every git that lists worktrees.
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
    """Yields the folders that are free for a worktree of that name: with a number behind it where another one has it."""
    for number in itertools.count():
        folder = parent / f"{name}{number or ''}"
        if not folder.exists():
            yield folder


def _copy_settings(common: Path, folder: Path) -> None:
    """Gives the worktree the settings that the repository's own files have for themselves, as git does."""
    own = common / "config.worktree"
    if own.is_file():
        settings = folder / "config.worktree"
        shutil.copyfile(own, settings)
        for name in _OWN_SETTINGS:
            Git(common, git_dir=common).attempt("config", "--file", str(settings), "--unset-all", name)
