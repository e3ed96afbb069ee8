"""Checks the version of git; no other module imports GitPython.

GitPython only finds the version: its Repo objects would outlive their call, and its command runner takes half as long as
git itself to start it.
"""

import os
from typing import Final

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # check_version explains a missing git better

import git.cmd

# The first version with merge-tree --stdin.
OLDEST_GIT: Final = (2, 39)


class GitVersionError(Exception):
    """git is missing or too old; the message says what to do."""


def check_version() -> str:
    """Returns git's version; raises GitVersionError if git is missing or too old."""
    needed = ".".join(map(str, OLDEST_GIT))
    runner = git.cmd.Git()
    try:
        version = runner.version_info
    except git.exc.GitCommandNotFound as error:
        raise GitVersionError(f"git is not on PATH. Install git {needed} or newer.") from error
    found = ".".join(map(str, version))
    if version[:2] < OLDEST_GIT:
        raise GitVersionError(f"git is {found}, but Heddle needs {needed} or newer. Upgrade git.")
    return found
