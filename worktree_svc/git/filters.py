"""Applies the rules of heddle/project/git_filters.py to the repositories of this service."""

from collections.abc import Collection
from pathlib import Path

from heddle import errors, pb
from heddle.project import git_filters
from heddle.project.git_filters import FilterSettings, RunGit
from worktree_svc.git.process.command import Git


def defined(common: Path) -> FilterSettings:
    """Returns the filter settings in the configuration of the repository at `common`, including files that it includes."""
    return git_filters.defined(_running(Git(common)), common)


def recorded(file: Path) -> FilterSettings:
    """Returns the filter settings in one of the service's configuration files; includes are not followed."""
    return git_filters.recorded(_running(Git(file.parent)), file)


def check(git: Git, common: Path, commit: str, running: FilterSettings, named: Collection[str]) -> None:
    """Raises FILTER_NOT_ALLOWED if files of `commit` use a filter of the user's git that may not run here.

    `running`: the filters that may run.
    """
    found = git_filters.not_allowed(
        _running(git), common, commit, now=defined(common), running=running, named=named
    )
    if found is None or not found.used:
        return
    raise errors.HeddleError(
        pb.ERROR_REASON_FILTER_NOT_ALLOWED,
        f"{found.problem}, so nothing was started. {found.why(found.used)} {found.advice(found.used)}",
        filters=",".join(found.used),
    )


def _running(git: Git) -> RunGit:
    return lambda *arguments: git.run(*arguments).stdout
