"""Makes a worktree known to a repository, so that no git ever sees half of it.

`git worktree add` leaves a file empty for a moment, and every git that looks at
the list of worktrees then dies of that: the user's own, and those of agents in
other worktrees. What is written here is what gitrepository-layout(5) and
git-worktree(1) say.
"""

import itertools
import shutil
from pathlib import Path
from typing import Final

from worktree_svc import files
from worktree_svc.git import Git

# What holds for a repository's own files alone.
_OWN_SETTINGS: Final = ("core.bare", "core.worktree")

# While it is there, `git worktree prune` leaves the folder alone; after a crash it says how far this came.
_LOCK: Final = "locked"


def add(common: Path, path: Path, commit: str) -> None:
    """Makes `path`, where nothing is, a worktree that stands on `commit`, still without files."""
    folder = _make_folder(common / "worktrees", path.name)
    pointer = path / ".git"
    (folder / "gitdir").write_text(f"{pointer}\n", errors="surrogateescape")
    (folder / "HEAD").write_text(f"{commit}\n")
    _copy_settings(common, folder)
    # The one that must never be empty, also after a power cut.
    files.write_atomically(folder / "commondir", "../..\n")
    path.mkdir()
    pointer.write_text(f"gitdir: {folder}\n", errors="surrogateescape")
    (folder / _LOCK).unlink()


def _make_folder(parent: Path, name: str) -> Path:
    """Makes a locked folder of that name, or, where another worktree has it, with a number behind it."""
    for number in itertools.count():
        folder = parent / f"{name}{number or ''}"
        try:
            parent.mkdir(exist_ok=True)
            folder.mkdir()
            (folder / _LOCK).write_text("initializing\n")
        except FileExistsError:
            continue
        except FileNotFoundError:  # a `git worktree prune` has just removed what was empty
            continue
        return folder
    raise AssertionError


def _copy_settings(common: Path, folder: Path) -> None:
    """Gives the worktree what the repository's own files have for themselves, as git does: settings, sparse patterns."""
    own = common / "config.worktree"
    if own.is_file():
        settings = folder / "config.worktree"
        shutil.copyfile(own, settings)
        for name in _OWN_SETTINGS:
            Git(common, git_dir=common).attempt("config", "--file", str(settings), "--unset-all", name)
    patterns = common / "info" / "sparse-checkout"
    if patterns.is_file():
        (folder / "info").mkdir()
        shutil.copyfile(patterns, folder / "info" / "sparse-checkout")
