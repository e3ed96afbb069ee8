"""Keeps a data folder inside a repository out of its commits."""

import hashlib
import os
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
