"""Paths on a worker's disk that its services share."""

from pathlib import Path


def view_of(worktree: Path) -> Path:
    """Returns the folder that git uses in a worktree as its common directory, which repositories share."""
    return worktree.with_name(f"{worktree.name}.git")
