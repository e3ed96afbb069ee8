"""Finds the commit to which an epic's own work is the difference."""

from worktree_svc.git import refs
from worktree_svc.git.process.command import Git


def own_start(git: Git, origin: str, head: str) -> str:
    """Returns the commit that has what an epic took in until `head`, and nothing of its own work.

    `origin` is where its branch began, and the result if it took in nothing that contains `origin`. If a person or an
    agent merged several branches of which none contains the others, the result is the newest one.
    """
    merges = git.text("rev-list", "--first-parent", "--merges", f"{origin}..{head}").splitlines()
    others = [other for merge in merges for other in refs.parents(git, merge)[1:]]
    found = [each for each in others if refs.is_ancestor(git, origin, each)]
    return refs.independent(git, found)[0] if found else origin
