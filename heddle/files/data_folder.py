"""Keeps the data folder private to its user, and out of the commits of a repository that contains it."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from heddle.config import ConfigError

_IGNORED: Final = "# Heddle's data folder: nothing in it belongs in a commit.\n*\n"


# The folder in HEDDLE_HOME with a git folder for each project, and the folder with worktrees that were set aside.
REPOSITORIES: Final = "repositories"
ASIDE: Final = "aside"


def repository_name(common: Path) -> str:
    """Returns the name in REPOSITORIES of the project whose git folder, without links, is `common`."""
    return hashlib.sha256(os.fsencode(common)).hexdigest()[:16]


# The permissions of the data folder: those of its owner only.
_PRIVATE: Final = 0o700


def make_private(home: Path) -> str:
    """Creates `home` with mode 0700, or removes the access of group and others; returns what changed, or "".

    A mount point that belongs to another user keeps its permissions, because the platform that mounted it
    chose them, as Kubernetes does for a volume; the returned text says so. Raises ConfigError if
    others can access the folder and this cannot be changed, or if the folder is shared by design (/, /tmp).
    Raises OSError if the folder cannot be created. Idempotent.
    """
    try:
        home.mkdir(parents=True, mode=_PRIVATE)
    except FileExistsError:
        found = home.stat()
    else:
        return ""
    mode = stat.S_IMODE(found.st_mode)
    if not mode & ~_PRIVATE & 0o777:
        return ""
    if mode & stat.S_ISVTX or home.parent == home:
        raise ConfigError(
            f"HEDDLE_HOME is {home}, a folder that all users share. Use a separate folder, such as ~/.heddle"
        )
    if found.st_uid == os.geteuid():
        home.chmod(_PRIVATE)
        return f"other users could access {home} (mode {mode:04o}); its mode is now {_PRIVATE:04o}"
    if home.is_mount():
        return f"other users can access {home} (mode {mode:04o}): it is a volume that belongs to another user"
    raise ConfigError(
        f"other users can access HEDDLE_HOME {home} (mode {mode:04o}), which belongs to user id {found.st_uid}:"
        f" give it to the user of the services, or run as its owner: chmod 700 {home}"
    )


def keep_out(home: Path) -> Path | None:
    """Makes git ignore `home` if it is inside a repository; returns the repository, or None if there is none.

    Raises ConfigError if `home` is itself a repository or is inside a .git folder, where
    git removes unknown files. Idempotent.
    """
    home = home.absolute()
    inside = next((part for part in (home, *home.parents) if (part / ".git").exists()), None)
    if inside == home or ".git" in home.parts:
        raise ConfigError(
            f"HEDDLE_HOME is {home}, which is a git repository or inside a .git folder, where Heddle's files"
            " would mix with those of git. Use a separate folder outside any repository, such as ~/.heddle"
        )
    if inside is None:
        return None
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text(_IGNORED)
    return inside


def advice(home: Path, repository: Path) -> str:
    """Returns the warning for the operator about a data folder inside a repository."""
    return (
        f"the data folder {home} is inside the repository {repository}. Git now ignores it ({home / '.gitignore'});"
        " to move it, stop Heddle, move the folder out of the repository, and set HEDDLE_HOME to it"
    )
