"""Which repositories of this worker other workers may use, and the access that they get."""

from dataclasses import dataclass
from typing import Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.projects import repository
from worktree_svc.projects.repository import Project
from worktree_svc.served.grants import Grant, Grants

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Attributes files at any depth.
_ATTRIBUTES: Final = (":(glob)**/.gitattributes",)


@dataclass(frozen=True)
class ServedRepositories:
    """The repositories of one worker. `url` is where they are served; empty: they are not."""

    folders: PrivateFolders
    grants: Grants
    url: str = ""

    def serves(self, project: Project, commit: str, file: pb.ProjectFile | None) -> tuple[bool, str]:
        """Returns whether epics that start at a commit can have places on other workers, and if not, why.

        The reason is empty if this worker serves none at all.
        """
        if not self.url:
            return False, ""
        why = _unservable(project) or _needs_this_disk(project, commit, file)
        if why:
            log.info("project_not_served", path=str(project.top), reason=why)
        return not why, why

    def grant(self, path: str, epic: EpicName, generation: int) -> pb.RepositoryAccess:
        """Returns access to a project for the place of an epic; generation 0: to read it. Raises CLAIM_REFUSED."""
        project = repository.find(self.folders, path)
        why = _unservable(project) if self.url else "HEDDLE_GIT_LISTEN is not set there"
        if why:
            raise HeddleError(
                pb.ERROR_REASON_CLAIM_REFUSED,
                f"the worker that has {project.top} does not serve it to others: {why}. The epic works where its run is.",
                project=str(project.top),
            )
        grant = Grant(str(project.top), epic, generation)
        return pb.RepositoryAccess(url=f"{self.url}{grant.path}", token=self.grants.issue(grant))


def _unservable(project: Project) -> str:
    """Returns why other workers cannot clone a repository; empty: they can."""
    shallow = project.common / "shallow"
    if shallow.exists() and shallow.stat().st_size:
        return "it is a shallow clone (`git fetch --unshallow` completes it)"
    if project.git.run("config", "--get-regexp", r"^extensions\.partialclone$").code == 0:
        return "it is a partial clone, which lacks objects"
    return ""


def _needs_this_disk(project: Project, commit: str, file: pb.ProjectFile | None) -> str:
    """Returns why worktrees at a commit need more than the repository; empty: they do not."""
    if file and file.copy:
        return f".heddle.yaml copies files of the checkout ({file.copy[0]})"
    if file and any(each.source != pb.LINK_SOURCE_CACHE for each in file.link):
        return ".heddle.yaml links folders of the checkout"
    if project.git.object_id(f"{commit}:.gitmodules"):
        return "it has submodules"
    if project.git.run("grep", "--quiet", "-E", r"(^|\s)filter=", commit, "--", *_ATTRIBUTES).code == 0:
        return "it uses a filter (.gitattributes), whose files are not in git"
    return ""
