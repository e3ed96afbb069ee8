"""The commits that an agent made in its worktree, brought into the project's repository before anything uses them."""

from typing import NamedTuple

import structlog

from heddle import errors, pb
from worktree_svc.content import checkouts
from worktree_svc.git import object_import, refs, worktree_views
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreePaths

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class AgentCommits(NamedTuple):
    """The commits of a worktree's HEAD, of the epic's branch there, and its newest stash. None: there is none."""

    head: str | None
    branch: str | None
    stash: str | None


def names(project: Project, paths: WorktreePaths) -> AgentCommits:
    """Returns the IDs that the worktree's refs contain, whether the project has the commits or not.

    Changes nothing, so it is safe while an agent is working.
    """
    branch = worktree_views.read_ref(paths.worktree, refs.branch_ref(paths.epic.branch))
    return AgentCommits(
        checkouts.head_name(project, paths), branch, worktree_views.stash_of(paths.worktree) or None
    )


def bring_in_head(project: Project, paths: WorktreePaths) -> None:
    """Brings the commit of HEAD into the project, with all that it needs; raises WORKTREE_DAMAGED."""
    found = checkouts.head_name(project, paths)
    if found is None:
        return
    try:
        _bring_in(project, paths, found)
    except errors.HeddleError as error:
        if error.reason != pb.ERROR_REASON_GIT_FAILED:
            raise
        raise errors.HeddleError(
            pb.ERROR_REASON_WORKTREE_DAMAGED,
            f"the commit {found} that the agent left in {paths.worktree} is missing, damaged or forged"
            f" ({error.message}). Start another attempt; its files are kept under refs/heddle/attempts/.",
            path=paths.worktree,
        ) from error


def bring_in_all(project: Project, paths: WorktreePaths) -> AgentCommits:
    """Brings the agent's commits into the project, and returns those that the project then has.

    A commit that is missing, damaged or forged counts as none; the files of the worktree do not depend on it.
    """
    return AgentCommits(*(_brought_in(project, paths, name) for name in names(project, paths)))


def _brought_in(project: Project, paths: WorktreePaths, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        _bring_in(project, paths, name)
    except errors.HeddleError as error:
        if error.reason != pb.ERROR_REASON_GIT_FAILED:
            raise
        log.warning("agent_commit_not_kept", epic=str(paths.epic), commit=name, error=error.message)
        return None
    return refs.resolve(project.git, name)


def _bring_in(project: Project, paths: WorktreePaths, commit: str) -> None:
    objects = worktree_views.objects_of(paths.worktree, project.common)
    object_import.bring_in(project.git, objects, [commit])
