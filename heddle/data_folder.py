"""A data folder that lies in somebody's repository is kept out of their commits."""

from pathlib import Path
from typing import Final

from heddle.config import ConfigError

_IGNORED: Final = "# Heddle's data folder: nothing in it belongs into a commit.\n*\n"


def keep_out(home: Path) -> Path | None:
    """Lets git ignore all of `home` where it lies within a repository; returns the repository, None if it does not.

    Raises ConfigError where `home` is a repository itself, or lies among git's own
    files, which clean up what they do not know. Idempotent.
    """
    home = home.absolute()
    inside = next((part for part in (home, *home.parents) if (part / ".git").exists()), None)
    if inside == home or ".git" in home.parts:
        raise ConfigError(
            f"HEDDLE_HOME is {home}, which is a git repository or lies in one's .git folder: what Heddle writes"
            " would be mixed with it. Name a folder of its own, outside any repository, as ~/.heddle"
        )
    if inside is None:
        return None
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text(_IGNORED)
    return inside


def advice(home: Path, repository: Path) -> str:
    """Returns what to tell the operator about a data folder within a repository."""
    return (
        f"the data folder {home} lies in the repository {repository}. Git ignores it from now on ({home / '.gitignore'});"
        " better set HEDDLE_HOME to a folder outside, and move the old one there while Heddle is stopped"
    )
