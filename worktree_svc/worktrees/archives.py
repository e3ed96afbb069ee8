"""Archived worktrees: finds the commit to restore from, and describes what prevents a restore."""

from heddle import errors, pb
from heddle.names import EpicName
from worktree_svc.git import refs
from worktree_svc.projects import repository
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreePaths


def base_of(project: Project, epic: EpicName, archived: str) -> str:
    """Returns the HEAD of the archived worktree; raises if the epic's branch cannot be moved there again."""
    git = project.git
    base = refs.resolve(git, f"{archived}^1")
    if base is None:
        raise repository.unknown_revision(project, f"{archived}^1")
    (branch,) = refs.read(git, refs.branch_ref(epic.branch))
    if branch in {None, base}:
        return base
    if branch and not refs.is_ancestor(git, branch, base):
        raise errors.HeddleError(
            pb.ERROR_REASON_WRONG_STATE,
            f"{epic.branch} has moved since the worktree was archived, so its changes no longer apply there."
            f" They are in the commit {archived}: git -C {project.top} diff {archived}^ {archived}",
            state="BRANCH_MOVED",
        )
    repository.check_not_checked_out(project, epic.branch)
    return base


def missing(epic: EpicName) -> errors.HeddleError:
    """Returns the error for an epic without an archive."""
    return errors.HeddleError(
        pb.ERROR_REASON_NOT_FOUND,
        f"{epic} has no archive: its worktree still exists, or had no changes when it was removed",
        resource=str(epic),
    )


def in_the_way(paths: WorktreePaths) -> errors.HeddleError:
    """Returns the error for an archive whose epic already has a worktree."""
    return errors.HeddleError(
        pb.ERROR_REASON_WRONG_STATE,
        f"{paths.epic} has a worktree already, at {paths.worktree}; its archive is kept",
        state="WORKTREE_THERE",
    )
