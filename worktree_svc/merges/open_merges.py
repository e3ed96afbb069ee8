"""OpenMerge and CloseMerge: merges sources one by one in memory; they are checked before the target moves.

HEDDLE_HOME/merges/RUN/merge/        the temporary worktree
HEDDLE_HOME/merges/RUN/merge.json    its state, in the format of any worktree's state
"""

from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final, NamedTuple

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.failpoints import failpoint
from heddle.files.worktree_paths import MERGE
from heddle.names import EpicName, RunName
from heddle.project import file as project_file
from worktree_svc.content import checkouts, submodule_fill
from worktree_svc.git import trees
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.merges import branch_merge
from worktree_svc.merges.branch_merge import Conflict, MergeRequest
from worktree_svc.projects import branch_records, provisions, repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.repository import Project
from worktree_svc.storage import disk, files
from worktree_svc.storage.epoch_fence import EpochCheck
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.worktree_store import Lease, WorktreeState, WorktreeStore

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Used in place of an epic's key.
_KEY: Final = MERGE


class MergedSource(NamedTuple):
    """A source that was merged: its merge commit, and the commands to merge it by hand."""

    branch: str
    commit: str
    already: bool
    source: str
    advice: str


class OpenedMerge(NamedTuple):
    """The result of merging the sources. No ref points to `commit` yet; it is empty if every source conflicts."""

    target: str | None
    commit: str
    tree: str
    parts: list[MergedSource]
    # The conflict of each source that could not be merged, by branch.
    conflicts: dict[str, Conflict]
    # The worktree with the result. Empty: the result is known, or nothing was merged.
    path: str
    # The lease of that worktree.
    lease: Lease | None = None


class KnownResults(NamedTuple):
    """Results that need no check: these trees, and the trees of these branches' commits."""

    trees: Collection[str]
    branches: Collection[str]


@dataclass(frozen=True)
class OpenMerges:
    """The open merges below one data folder. Calls for one run must not overlap."""

    store: WorktreeStore
    folders: PrivateFolders
    repositories: RepositoryLocks
    leases: Leases
    _: KW_ONLY
    min_free_bytes: int
    free_bytes: disk.FreeBytes
    check_epoch: EpochCheck

    def open(
        self,
        path: str,
        epoch: int,
        run: RunName,
        requests: Sequence[MergeRequest],
        known: KnownResults,
        *,
        file: pb.ProjectFile,
    ) -> OpenedMerge:
        """Merges the sources into one target; checks out the result in a worktree unless it is known."""
        self.check_epoch(epoch)
        project = repository.find(self.folders, path)
        self._check_project(project, run)
        branch = requests[0].target
        repository.check_branch_name(project, "target_branch", branch)
        for request in requests:
            repository.check_branch_name(project, "sources", request.source)
        repository.check_not_checked_out(project, branch)
        target = branch_records.commit_of(project, branch)
        begin = onto = target or branch_merge.target_start(project, requests[0])
        parts: list[MergedSource] = []
        conflicts: dict[str, Conflict] = {}
        for request in requests:
            found = branch_merge.merge_onto(project, request, onto, target)
            if isinstance(found, Conflict):
                conflicts[request.source] = found
                continue
            if not found.already:
                onto = branch_merge.commit_merge(project, request, found)
            by_hand = branch_merge.advice(project, request, target, clean=True)
            parts.append(MergedSource(request.source, onto, found.already, found.source, by_hand))
        self._remove(project, run)
        tree = trees.of(project.git, onto)
        own = [trees.of(project.git, part.source) for part in parts if part.branch in known.branches]
        seen = onto == begin or tree in {*known.trees, *own}
        opened = OpenedMerge(target, onto if parts else "", tree, parts, conflicts, "")
        return opened if seen else self._check_out(project, run, opened, file)

    def close(self, path: str, epoch: int, run: RunName, move: tuple[str, str | None, str] | None) -> bool:
        """Moves a branch and removes the worktree; `move` is the branch, its old commit and the new one.

        Returns whether the branch was moved. Without `move`, no branch moves. Without an old commit, the branch
        must not exist.
        """
        self.check_epoch(epoch)
        project = repository.find(self.folders, path)
        self._check_project(project, run)
        moved = False
        if move:
            branch, old, new = move
            for field, commit in (("target_commit", old), ("commit", new)):
                repository.check_commit_id(field, commit)
            repository.check_branch_name(project, "target_branch", branch)
            repository.check_not_checked_out(project, branch)
            self.check_epoch(epoch)
            moved = branch_merge.move_target(project.git, branch, new, old)
            log.info("merge_closed", run=str(run), target=branch, commit=new, moved=moved)
            failpoint("close_merge.before_remove")
        self._remove(project, run)
        return moved

    def _check_project(self, project: Project, run: RunName) -> None:
        """Raises INVALID_FIELD if the run's open merge belongs to another repository."""
        if state := self.store.load(self.store.paths(run.epic(_KEY))):
            repository.check_same(self.folders, project, state.project)

    def clear(self) -> None:
        """Removes the worktrees of a service that was killed; logs those that it cannot remove.

        The next merge of their run tries again.
        """
        for paths, state in list(self.store.all()):
            try:
                self._remove(repository.find(self.folders, str(state.project)), paths.epic.parent)
            except (HeddleError, OSError) as error:
                log.warning("merge_not_removed", path=str(paths.worktree), error=str(error))
        # A folder whose state was removed before the rest.
        for left in self.store.folder.glob("*"):
            if not list(left.glob("*.json")):
                try:
                    files.remove(left)
                except OSError as error:
                    log.warning("merge_not_removed", path=str(left), error=str(error))

    def _check_out(
        self, project: Project, run: RunName, opened: OpenedMerge, file: pb.ProjectFile
    ) -> OpenedMerge:
        self.store.folder.mkdir(parents=True, exist_ok=True)
        disk.check((self.store.folder, project.common), self.min_free_bytes, self.free_bytes)
        paths, commit = self.store.paths(run.epic(_KEY)), opened.commit
        provided = provisions.plan(project, file, commit)
        if provided.problems:
            raise project_file.invalid(tuple(provided.problems))
        # The state is saved first, so the next service finds the worktree after a crash.
        state = WorktreeState(paths.epic, project.top, start=commit, head=commit)
        self.store.save(paths, state.with_provisions(project.common, provided.links.values()))
        failpoint("open_merge.after_state")
        with self.repositories.hold(project.common):
            checkouts.create(project, paths, commit)
        folder = checkouts.repair(project, paths)
        checkouts.run_with_unlock(
            project.git.at(paths.worktree, index=paths.index), "read-tree", "--reset", "-u", commit
        )
        files.write_atomically(folder / "HEAD", f"{commit}\n")
        files.copy_atomically(paths.index, folder / "index")
        submodule_fill.fill(project, paths.worktree, paths.index, folder)
        provisions.provide(paths, provided)
        lease = self.leases.take(_lease_holder(run), file.ports)
        failpoint("open_merge.after_layout")
        return opened._replace(path=str(paths.worktree), lease=lease)

    def _remove(self, project: Project, run: RunName) -> None:
        paths = self.store.paths(run.epic(_KEY))
        with self.repositories.hold(project.common):
            checkouts.unregister(project, paths)
        if paths.worktree.exists():
            failpoint("close_merge.after_forget")
        # The worktree is removed first: the remaining state shows that the removal is not complete.
        files.remove(paths.worktree)
        files.remove(paths.worktree.parent)
        self.leases.release(_lease_holder(run))


def _lease_holder(run: RunName) -> EpicName:
    """Returns the epic name that holds the merge's lease; no epic of a plan can have this key."""
    return EpicName(run.run, f"_{_KEY}")
