"""OpenMerge and CloseMerge: sources are merged one after another in memory, and checked before the target moves.

HEDDLE_HOME/merges/RUN/merge/        the temporary worktree
HEDDLE_HOME/merges/RUN/merge.json    its state, as of any worktree
"""

from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.failpoints import failpoint
from heddle.names import EpicName, RunName
from heddle.project import file as project_file
from worktree_svc.content import checkouts, submodule_fill
from worktree_svc.git import trees
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.merges import branch_merge
from worktree_svc.merges.branch_merge import Conflict, Request
from worktree_svc.projects import branch_records, provisions, repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.provisions import Provisions
from worktree_svc.projects.repository import Project
from worktree_svc.storage import disk, files
from worktree_svc.storage.epoch_fence import StillLeads
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.worktree_states import Lease, State, States

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Used in place of an epic's key.
_KEY: Final = "merge"


class Part(NamedTuple):
    """A source that is in the merge: its merge commit, and the commands to merge it by hand."""

    branch: str
    commit: str
    already: bool
    source: str
    advice: str


class Opened(NamedTuple):
    """The result of merging the sources. No ref points to `commit` yet; it is empty if every source conflicts."""

    target: str | None
    commit: str
    tree: str
    parts: list[Part]
    # By branch.
    conflicts: dict[str, Conflict]
    # The worktree with the result. Empty: the result is known, or nothing was merged.
    path: str
    # The lease and the linked folders of that worktree.
    lease: Lease | None = None
    shared: tuple[Path, ...] = ()


class Known(NamedTuple):
    """Results that need no check: these trees, and the trees of these branches."""

    trees: Collection[str]
    branches: Collection[str]


@dataclass(frozen=True)
class OpenMerges:
    """The open merges below one data folder. Calls about one run must not overlap."""

    states: States
    folders: PrivateFolders
    repositories: RepositoryLocks
    leases: Leases
    _: KW_ONLY
    min_free_bytes: int
    free_bytes: disk.FreeBytes
    still_leads: StillLeads

    def open(
        self,
        path: str,
        epoch: int,
        run: RunName,
        requests: Sequence[Request],
        known: Known,
        *,
        file: pb.ProjectFile,
    ) -> Opened:
        """Merges the sources, all into one target, and checks out the result in a worktree unless it is known."""
        self.still_leads(epoch)
        project = repository.find(self.folders, path)
        branch = requests[0].target
        repository.check_branch_name(project, "target_branch", branch)
        for request in requests:
            repository.check_branch_name(project, "sources", request.source)
        repository.check_not_checked_out(project, branch)
        target = branch_records.commit_of(project, branch)
        begin = onto = target or branch_merge.begin_at(project, requests[0])
        parts: list[Part] = []
        conflicts: dict[str, Conflict] = {}
        for request in requests:
            found = branch_merge.merge_onto(project, request, onto, target)
            if isinstance(found, Conflict):
                conflicts[request.source] = found
                continue
            if not found.already:
                onto = branch_merge.commit_merge(project, request, found)
            by_hand = branch_merge.advice(project, request, target, clean=True)
            parts.append(Part(request.source, onto, found.already, found.source, by_hand))
        self._remove(project, run)
        tree = trees.of(project.git, onto)
        own = [trees.of(project.git, part.source) for part in parts if part.branch in known.branches]
        seen = onto == begin or tree in {*known.trees, *own}
        opened = Opened(target, onto if parts else "", tree, parts, conflicts, "")
        return opened if seen else self._lay_out(project, run, opened, file)

    def close(self, path: str, epoch: int, run: RunName, move: tuple[str, str | None, str] | None) -> bool:
        """Moves a branch and removes the worktree; `move` is the branch, its old commit and the new one.

        Returns whether the branch was moved. No `move`: no branch moves. No old commit: the branch does not exist.
        """
        self.still_leads(epoch)
        project = repository.find(self.folders, path)
        moved = False
        if move:
            branch, old, new = move
            repository.check_branch_name(project, "target_branch", branch)
            repository.check_not_checked_out(project, branch)
            self.still_leads(epoch)
            moved = branch_merge.move_target(project.git, branch, new, old)
            log.info("merge_closed", run=str(run), target=branch, commit=new, moved=moved)
            failpoint("close_merge.before_remove")
        self._remove(project, run)
        return moved

    def clear(self) -> None:
        """Removes the worktrees of a service that was killed."""
        for place, state in list(self.states.all()):
            try:
                self._remove(repository.find(self.folders, str(state.project)), place.epic.parent)
            except HeddleError as error:
                log.warning("merge_not_removed", path=str(place.path), error=error.message)
        # A folder whose state was removed before the rest.
        for left in self.states.folder.glob("*"):
            if not list(left.glob("*.json")):
                files.remove(left)

    def _lay_out(self, project: Project, run: RunName, opened: Opened, file: pb.ProjectFile) -> Opened:
        self.states.folder.mkdir(parents=True, exist_ok=True)
        disk.check((self.states.folder, project.common), self.min_free_bytes, self.free_bytes)
        place, commit = self.states.place(run.epic(_KEY)), opened.commit
        brought = provisions.plan(project, file, commit) if file.copy or file.link else Provisions()
        if brought.problems:
            raise project_file.invalid(tuple(brought.problems))
        # Saved first, so that the next service finds the worktree after a crash.
        self.states.save(place, State(place.epic, project.top, start=commit, head=commit))
        failpoint("open_merge.after_state")
        with self.repositories.hold(project.common):
            checkouts.create(project, place, commit)
        folder = checkouts.mend(project, place)
        checkouts.insist(project.git.at(place.path, index=place.index), "read-tree", "--reset", "-u", commit)
        files.write_atomically(folder / "HEAD", f"{commit}\n")
        files.copy_atomically(place.index, folder / "index")
        submodule_fill.fill(project, place.path, place.index, folder)
        provisions.provide(place, brought)
        lease = self.leases.take(_tenant(run), file.ports)
        failpoint("open_merge.after_layout")
        return opened._replace(path=str(place.path), lease=lease, shared=tuple(brought.links.values()))

    def _remove(self, project: Project, run: RunName) -> None:
        place = self.states.place(run.epic(_KEY))
        with self.repositories.hold(project.common):
            checkouts.forget(project, place)
        if place.path.exists():
            failpoint("close_merge.after_forget")
        # The worktree first: the state next to it shows that the removal is not complete.
        files.remove(place.path)
        files.remove(place.path.parent)
        self.leases.give_back(_tenant(run))


def _tenant(run: RunName) -> EpicName:
    """Returns the epic name under which the lease is held: no epic of a plan can have such a key."""
    return EpicName(run.run, f"_{_KEY}")
