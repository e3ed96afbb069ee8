"""CountNewCommits: how many commits of a branch of the project epics lack."""

from collections.abc import Iterable, Sequence

from worktree_svc.git import refs
from worktree_svc.projects.repository import Project


def count(project: Project, ref: str, held: Iterable[Sequence[str]]) -> tuple[str, list[int]]:
    """Returns the branch's commit, and for each set of held commits how many commits it lacks.

    Returns an empty commit and no counts if there is no such branch.
    """
    (tip,) = refs.read(project.git, ref)
    if tip is None:
        return "", []
    return tip, [0 if tip in each else _count(project, tip, each) for each in held]


def _count(project: Project, tip: str, held: Sequence[str]) -> int:
    lines = "".join([f"{tip}\n", *(f"^{commit}\n" for commit in held)])
    options = ("rev-list", "--count", "--ignore-missing", "--stdin")
    return int(project.git.text(*options, stdin=lines.encode()))
