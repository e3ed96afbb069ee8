"""Where things lie beside each other on a worker's disk, for the services that share it."""

from pathlib import Path


def view_of(worktree: Path) -> Path:
    """Returns the folder that git takes in a worktree for what it shares with its repository."""
    return worktree.with_name(f"{worktree.name}.git")
