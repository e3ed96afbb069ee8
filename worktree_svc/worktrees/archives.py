"""What stands in the way of an archived worktree, and from where it is made anew."""

from heddle import errors, pb
from heddle.names import EpicName
from worktree_svc.git import refs
from worktree_svc.projects import repository
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_states import Place


def base_of(project: Project, epic: EpicName, archived: str) -> str:
    """Returns the commit on which the worktree stood; raises if the epic's branch cannot be put there again."""
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
            f"{epic.branch} went on since the worktree was archived, so its changes no longer fit there."
            f" They are in the commit {archived}: git -C {project.top} diff {archived}^ {archived}",
            state="BRANCH_MOVED",
        )
    repository.check_not_checked_out(project, epic.branch)
    return base


def missing(epic: EpicName) -> errors.HeddleError:
    """Returns the error for an epic of which nothing is archived."""
    return errors.HeddleError(
        pb.ERROR_REASON_NOT_FOUND,
        f"nothing is archived of {epic}: its worktree is still there, or was removed clean",
        resource=str(epic),
    )


def in_the_way(place: Place) -> errors.HeddleError:
    """Returns the error for an archive whose place is taken."""
    return errors.HeddleError(
        pb.ERROR_REASON_WRONG_STATE,
        f"{place.epic} has a worktree already, at {place.path}; what is archived stays archived",
        state="WORKTREE_THERE",
    )
