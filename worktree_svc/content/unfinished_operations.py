"""Detects unfinished git operations, during which the files are not the agent's intended result."""

from collections.abc import Container
from pathlib import Path
from typing import Final, NamedTuple

from heddle import errors, pb
from worktree_svc.content import checkouts
from worktree_svc.storage.worktree_store import WorktreePaths


class Operation(NamedTuple):
    """An unfinished operation, and how to end it; {branch} stands for the epic's."""

    name: str
    advice: str


_AM: Final = Operation("git am", "`git am --continue` or `git am --abort`")
_BISECT: Final = Operation("git bisect", "`git bisect reset HEAD && git switch {branch}`")

# Their files in the worktree's git folder.
_MARKS: Final = ("rebase-apply/applying", "BISECT_LOG")


def check(paths: WorktreePaths, folder: Path) -> None:
    """Raises UNFINISHED_OPERATION if the agent left such an operation in the worktree; `folder` is its git folder."""
    marks = {mark for mark in _MARKS if (folder / mark).exists()}
    found = under_way(marks, on_branch=checkouts.is_on_epic_branch(paths, folder))
    if found:
        raise errors.HeddleError(
            pb.ERROR_REASON_UNFINISHED_OPERATION,
            f"the agent left its worktree in the middle of {found.name}, which shows the files of another commit."
            f" End it first: {found.advice.format(branch=paths.epic.branch)}",
            operation=found.name,
        )


def under_way(marks: Container[str], *, on_branch: bool) -> Operation | None:
    """Returns the unfinished operation that git's files show.

    Returns None if there is none, and for a bisect that never left the epic's branch.
    """
    if "rebase-apply/applying" in marks:
        return _AM
    if "BISECT_LOG" in marks and not on_branch:
        return _BISECT
    return None
