"""What git was in the middle of when an agent ended, other than a merge: its files may be those of another commit."""

from collections.abc import Container
from pathlib import Path
from typing import Final, NamedTuple

from heddle import errors, pb
from worktree_svc import checkouts
from worktree_svc.projects import Project
from worktree_svc.states import Place


class Operation(NamedTuple):
    """What is under way, as people call it, and how it is ended."""

    name: str
    advice: str


_REBASE: Final = Operation("rebase", "git rebase --continue or git rebase --abort")
_AM: Final = Operation("git am", "git am --continue or git am --abort")
_CHERRY_PICK: Final = Operation("cherry-pick", "git cherry-pick --continue or git cherry-pick --abort")
_REVERT: Final = Operation("revert", "git revert --continue or git revert --abort")
_BISECT: Final = Operation("bisect", "git bisect reset")

# What git keeps of them in the worktree's own folder.
_MARKS: Final = (
    "rebase-merge",
    "rebase-apply",
    "rebase-apply/applying",
    "sequencer/todo",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
)


def check(project: Project, place: Place) -> None:
    """Raises UNFINISHED_OPERATION if the agent left one in the worktree."""
    folder = checkouts.find(project, place)
    if folder is None:
        return
    marks = {mark for mark in _MARKS if (folder / mark).exists()}
    found = under_way(
        marks,
        unmerged=bool(marks) and _has_unmerged(project, place, folder),
        on_branch=checkouts.stands_on_branch(project, place),
    )
    if found:
        raise errors.HeddleError(
            pb.ERROR_REASON_UNFINISHED_OPERATION,
            f"the agent left a {found.name} half done in its worktree, so its files are not what it meant to"
            f" leave. End it first: {found.advice}",
            operation=found.name,
        )


def under_way(marks: Container[str], *, unmerged: bool, on_branch: bool) -> Operation | None:
    """Returns what git is in the middle of, by its marks; None where the files are a result.

    A single pick whose conflicts are resolved is one: only its commit is missing. So is a bisect that never left
    the epic's branch.
    """
    picks = _REVERT if "REVERT_HEAD" in marks else _CHERRY_PICK
    if "rebase-apply/applying" in marks:
        return _AM
    if "rebase-merge" in marks or "rebase-apply" in marks:
        return _REBASE
    if "sequencer/todo" in marks:
        return picks
    if unmerged and ("CHERRY_PICK_HEAD" in marks or "REVERT_HEAD" in marks):
        return picks
    if "BISECT_LOG" in marks and not on_branch:
        return _BISECT
    return None


def _has_unmerged(project: Project, place: Place, folder: Path) -> bool:
    """Returns whether the agent's own index holds conflicts; one that git cannot read holds none."""
    output = project.git.at(place.path, index=folder / "index").attempt("ls-files", "--unmerged", "-z")
    return output.code == 0 and bool(output.stdout)
