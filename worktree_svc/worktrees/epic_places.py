"""Makes this worker the place of an epic, and removes what an earlier place of it left here."""

from dataclasses import dataclass

import structlog

from heddle import pb
from heddle.failpoints import failpoint
from heddle.names import AttemptName, EpicName
from worktree_svc.git import refs
from worktree_svc.projects import claims, repository
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.projects.repository import Project
from worktree_svc.worktrees.lifecycle import Worktrees
from worktree_svc.worktrees.outcomes import Removed

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class EpicPlaces:
    """The places of epics on this worker. Calls for one epic must not overlap."""

    worktrees: Worktrees
    mirrors: Mirrors

    def settle(self, request: pb.EnsureWorktreeRequest, epic: EpicName) -> str:
        """Makes this worker the place of the epic in the request's generation; returns what to rewind the epic to.

        Empty: nothing, as at a new place, which starts from the last commit that counts. Does nothing else for an epic
        without a generation. Can be repeated. Raises as `claims.take` does.
        """
        if not request.generation:
            return request.rewind_to
        self.worktrees.check_epoch(request.epoch)
        project = repository.find(self.worktrees.folders, request.project)
        if request.take_in:
            self.mirrors.bring_run(request.project, epic.parent)
        head = next((each.commit for each in request.known_branches if each.branch == epic.branch), "")
        held = claims.held(project, epic)
        if held and held.generation == request.generation:
            self._bring_submitted(project, request, epic)
            return request.rewind_to if held.accepted != head else ""
        self._bring(project, request, epic, head)
        claim = claims.take(project, epic, request.generation, head)
        failpoint("settle.after_take")
        self.worktrees.remove(request.project, epic, request.epoch)
        _start_from(project, epic, head or request.base_commit)
        failpoint("settle.before_keep")
        claims.keep(project, epic, claim)
        log.info("epic_placed", epic=str(epic), generation=request.generation, head=head)
        return ""

    def remove(self, request: pb.RemoveWorktreeRequest, epic: EpicName) -> Removed:
        """Removes an epic's worktree, unless the epic has come back since the caller decided that."""
        if request.before_generation:
            self.worktrees.check_epoch(request.epoch)
            held = claims.held(repository.find(self.worktrees.folders, request.project), epic.whole)
            if held and held.generation >= request.before_generation:
                return Removed(False, self.worktrees.store.paths(epic).worktree, None)
        return self.worktrees.remove(request.project, epic, request.epoch)

    def submit(self, request: pb.CommitTaskRequest, attempt: AttemptName) -> None:
        """Has the remote keep work of a placed epic that waits for reviews."""
        if request.generation:
            project = repository.find(self.worktrees.folders, request.project)
            claims.submit(project, refs.kept_ref(attempt))

    def bring_resolution(self, request: pb.EnsureWorktreeRequest, epic: EpicName) -> None:
        """Fetches the resolution that an attempt starts with, if it was made on another worker."""
        if commit := request.resolution_commit:
            project = repository.find(self.worktrees.folders, request.project)
            if not refs.has(project.git, commit):
                self.mirrors.bring_run(request.project, epic.parent)

    def _bring(self, project: Project, request: pb.EnsureWorktreeRequest, epic: EpicName, head: str) -> None:
        """Fetches the commit that the epic continues from, or starts from, and submitted work that it continues."""
        if request.continue_attempt:
            self.mirrors.bring_run(request.project, epic.parent)
        if head:
            self.mirrors.bring(
                request.project, [pb.KnownBranch(branch=epic.branch, commit=head, elsewhere=True)]
            )
        elif repository.is_mirror(project) and not refs.has(project.git, request.base_commit):
            self.mirrors.bring_base(request.project, request.base_commit)

    def _bring_submitted(self, project: Project, request: pb.EnsureWorktreeRequest, epic: EpicName) -> None:
        """Fetches the work of a candidate that was submitted at an earlier place, if it is to be continued."""
        if request.continue_attempt:
            earlier = AttemptName.parse(request.continue_attempt)
            if earlier.parent.candidate and refs.read(project.git, refs.kept_ref(earlier)) == [None]:
                self.mirrors.bring_run(request.project, epic.parent)


def _start_from(project: Project, epic: EpicName, head: str) -> None:
    """Puts the epic's branch on its last accepted commit, if an earlier place has left it elsewhere."""
    accepted, branch = refs.read(project.git, refs.accepted_ref(epic), refs.branch_ref(epic.branch))
    if not repository.is_mirror(project) and accepted == head:
        # People may have added commits to the branch, which is theirs too.
        return
    if accepted or branch:
        refs.update(project.git, refs.accepting(epic, head, accepted or refs.ABSENT))
