"""Keeps a data folder inside a repository out of its commits."""

from pathlib import Path
from typing import Final

from heddle.config import ConfigError

_IGNORED: Final = "# Heddle's data folder: nothing in it belongs in a commit.\n*\n"


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
