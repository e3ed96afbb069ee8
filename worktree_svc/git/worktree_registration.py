"""Registers a worktree in a repository atomically: git processes never see an incomplete registration.

`git worktree add` leaves a file empty for a moment. Any git process that lists the
worktrees at that moment fails, including those of the user and of agents in other
worktrees. This module writes the registration's files elsewhere and moves them into
place at once. gitrepository-layout(5) and git-worktree(1) document their format.
"""

import errno
import itertools
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from worktree_svc.git import user_settings
from worktree_svc.git.process.command import Git
from worktree_svc.storage import files

# Settings that apply only to the repository's own checkout. An epic's worktree always contains all files: with
# the user's sparse checkout, an agent's git would remove files that it does not need to change.
_OWN_SETTINGS: Final = (
    "core.bare",
    "core.worktree",
    "core.sparseCheckout",
    "core.sparseCheckoutCone",
    "index.sparse",
)

# The folder in which a registration is prepared, in the repository's git folder.
_STAGED: Final = "heddle-worktree"

# Errors of the move if another worktree uses the name, or if git has just removed the empty parent folder.
_TAKEN: Final = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT}


def add(common: Path, path: Path, commit: str) -> None:
    """Creates a worktree without files at `path`, which must not exist, with detached HEAD `commit`.

    The caller holds the repository's lock: see locks.RepositoryLocks.
    """
    staged = common / _STAGED
    # A service that was killed may have left this.
    files.remove(staged)
    staged.mkdir()
    pointer = path / ".git"
    (staged / "gitdir").write_text(f"{pointer}\n", errors="surrogateescape")
    (staged / "HEAD").write_text(f"{commit}\n")
    # If this file were empty after a power cut, every git process that lists worktrees would fail.
    files.write_atomically(staged / "commondir", "../..\n")
    _copy_settings(common, staged)
    _share(common, staged)
    path.mkdir()
    for folder in _names(common / "worktrees", path.name):
        pointer.write_text(f"gitdir: {folder}\n", errors="surrogateescape")
        if not folder.parent.exists():
            folder.parent.mkdir(exist_ok=True)
            _share(common, folder.parent)
        try:
            staged.rename(folder)
        except OSError as error:
            if error.errno not in _TAKEN or not staged.exists():
                raise
        else:
            return


def _names(parent: Path, name: str) -> Iterator[Path]:
    """Yields candidate folders for a worktree's name, with a number appended if the name is in use."""
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


def _share(common: Path, folder: Path) -> None:
    """Gives `folder` and its files the permissions that core.sharedRepository asks for, as git does for its own."""
    wanted = _shared_mode(user_settings.of(common).get("core.sharedrepository", "").strip().lower())
    if not wanted:
        return
    for path in (folder, *folder.iterdir()):
        mode = stat.S_IMODE(path.stat().st_mode)
        # An octal number replaces the mode of files; a word adds to it.
        mode = mode & ~0o777 | wanted.mode if wanted.replaces else mode | wanted.mode
        if path.is_dir():
            mode |= (mode & 0o444) >> 2 | stat.S_ISGID
        path.chmod(mode)


class _Shared(NamedTuple):
    mode: int
    replaces: bool = False


def _shared_mode(value: str) -> _Shared | None:
    """Returns what a value of core.sharedRepository means (git-config(1)); None: the umask applies."""
    if value in {"group", "true", "yes", "on", "1"}:
        return _Shared(0o660)
    if value in {"all", "world", "everybody", "2", "3"}:
        return _Shared(0o664)
    if value.startswith("0") and set(value) <= set("01234567") and len(value) > 1:
        return _Shared(int(value, 8) & 0o666, replaces=True)
    return None
