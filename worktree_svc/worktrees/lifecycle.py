"""Manages the lifecycle of epics' worktrees: creates, cleans, archives, removes and restores them."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.names import AttemptName, EpicName
from heddle.project import file as project_file
from worktree_svc.content import (
    accepted_history,
    checkouts,
    conflict_resolution,
    snapshots,
    submodule_fill,
    submodules,
)
from worktree_svc.content.snapshots import Kept
from worktree_svc.git import refs
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.projects import provisions, repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.provisions import Provisions
from worktree_svc.projects.repository import Project
from worktree_svc.storage import disk, files
from worktree_svc.storage.epoch_fence import EpochCheck
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.worktree_store import ChangesFound, WorktreePaths, WorktreeState, WorktreeStore
from worktree_svc.worktrees import archives, candidates, set_aside, take_in
from worktree_svc.worktrees.outcomes import Discarded, Ensured, Removed, Restored
from worktree_svc.worktrees.pool import WorktreePool
from worktree_svc.worktrees.take_in import NOTHING, Taken, Wanted

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Worktrees:
    """The worktrees below one data folder. Calls for one epic must not overlap."""

    store: WorktreeStore
    folders: PrivateFolders
    repositories: RepositoryLocks
    pool: WorktreePool
    leases: Leases
    min_free_bytes: int
    free_bytes: disk.FreeBytes
    check_epoch: EpochCheck

    def ensure(
        self,
        path: str,
        attempt: AttemptName,
        epoch: int,
        base_commit: str,
        *,
        file: pb.ProjectFile,
        earlier: AttemptName | None = None,
        merge: str = "",
        resolution: str = "",
        rewind_to: str = "",
        wanted: Wanted = NOTHING,
    ) -> Ensured:
        """Creates or finds the worktree of the attempt's epic, cleans it for the attempt, provides its files.

        A repeated call for the owner does not change the work in progress. Neither does the first call of an
        attempt that continues `earlier`, if `earlier` is the owner. If the work of `earlier` has been kept
        since, it is restored, unless another task was accepted later. With `merge`, the worktree then contains
        the merge of that revision, with markers, or `resolution`, a person's commit of it. With `rewind_to`, the epic is
        first rewound to that revision. What is `wanted` is merged into it; a commit that conflicts can become `merge`.
        A candidate has a worktree of its own, which starts at the last accepted commit of its epic.
        """
        self.check_epoch(epoch)
        project = repository.find(self.folders, path)
        epic = attempt.workspace
        paths = self.store.paths(epic)
        known = self.store.load(paths)
        state = self._claimed(project, known or self.begin(project, epic, base_commit), attempt)
        back_to = repository.existing(project, rewind_to) if rewind_to else None
        base, conflict = None, ""
        if epic.candidate:
            base, conflict = candidates.prepare_epic(
                self, project, attempt, base_commit, back_to=back_to, wanted=wanted
            )
        provided = self._plan_provisions(project, file, state, base or back_to)
        state = state.with_provisions(project.common, provided.links.values())
        if earlier is not None and earlier.parent.whole != attempt.parent.whole:
            earlier = None
        kept = (refs.read(project.git, refs.kept_ref(earlier))[0] if earlier else None) or ""
        continues = earlier is not None and state.owner == earlier and not kept
        ready = (continues or state.owner == attempt) and not state.cleaning
        if ready and checkouts.is_complete(project, paths):
            checkouts.repair(project, paths)
            if continues:
                state = replace(state, owner=attempt, continued=True, offered="")
            with self._leased(state, file.ports) as leased:
                state = leased if leased == known else self.store.save(paths, leased)
            return Ensured(state, paths.worktree, created=False)
        if provided.problems:
            raise project_file.invalid(tuple(provided.problems))
        self._check_disk(project)
        with self._leased(state, file.ports) as leased:
            state = self.store.save(paths, leased)
        failpoint("ensure.after_claim")
        head = accepted_history.accepted(project, state)
        state = self.keep(project, paths, state, head, attempt)
        if base:
            state, taken = candidates.start_at(project, state, head, base), Taken(base, conflict, None)
        else:
            state, taken = take_in.advanced(project, attempt, state, head, back_to=back_to, wanted=wanted)
        head, merge = taken.head, merge or taken.conflict
        state, created = self._make_ready(project, paths, state, head)
        if kept and ((back_to and not base) or not refs.is_ancestor(project.git, head, kept)):
            kept = ""
        state = replace(state, owner=attempt, head=head, base=taken.base)
        state = self._hand_over(project, paths, state, provided, kept=kept, merge=(merge, resolution))
        if created:
            self.pool.fill(project, head, paths.index)
        log.info("worktree_ready", attempt=str(attempt), path=str(paths.worktree), created=created)
        return Ensured(state, paths.worktree, created)

    def _claimed(self, project: Project, state: WorktreeState, attempt: AttemptName) -> WorktreeState:
        """Returns the state claimed by the attempt; raises STALE_ATTEMPT or INVALID_FIELD."""
        claimed = state.claimed_by(attempt)
        repository.check_same(self.folders, project, state.project)
        if state.claim != attempt and not state.cleaning:
            # The previous attempt already received `found` in its answer, unless its worktree never became
            # ready.
            return replace(claimed, found=None)
        return claimed

    def _hand_over(
        self,
        project: Project,
        paths: WorktreePaths,
        state: WorktreeState,
        provided: Provisions,
        *,
        kept: str,
        merge: tuple[str, str],
    ) -> WorktreeState:
        """Adds the owner's initial changes and files to the clean worktree, and saves it as ready.

        `kept`: the commit to restore as uncommitted changes. `merge`: as for conflict_resolution.check_out.
        """
        unfilled = snapshots.check_out_changes(project, paths, kept) if kept else ()
        merging = conflict_resolution.check_out(project, paths, state.head, *merge)
        if merging or not kept:  # otherwise, the submodules already contain the kept work
            unfilled = self._fill(project, paths)
        failpoint("ensure.before_provide")
        provisions.provide(paths, provided)
        failpoint("ensure.before_owner")
        state = replace(state, cleaning=False, dirty=False, work_saved=False, restored="", unfilled=unfilled)
        state = self.store.save(paths, replace(state, continued=bool(kept), merging=merging, offered=""))
        failpoint("ensure.after_owner")
        return state

    def discard(self, path: str, attempt: AttemptName, epoch: int) -> Discarded | None:
        """Keeps the attempt's work and resets the worktree; None if it was never ready for the attempt."""
        self.check_epoch(epoch)
        project = repository.find(self.folders, path)
        paths = self.store.paths(attempt.workspace)
        state = self.store.load(paths)
        if state is None or state.never_had(attempt):
            return None
        repository.check_same(self.folders, project, state.project)
        state.check_owner(attempt)
        head = accepted_history.accepted(project, state)
        state = self.keep(project, paths, state, head, attempt)
        state, remade = self._make_ready(project, paths, state, head)
        self._fill(project, paths)
        self.store.save(paths, replace(state, head=head, cleaning=False, dirty=False, work_saved=True))
        failpoint("discard.after_state")
        ref = refs.kept_ref(attempt)
        (commit,) = refs.read(project.git, ref)
        log.info("attempt_discarded", attempt=str(attempt), kept=bool(commit), remade=remade)
        return Discarded(project, head, Kept(ref, commit) if commit else None)

    def remove(self, path: str, epic: EpicName, epoch: int) -> Removed:
        """Removes the worktree of an epic after archiving its content."""
        self.check_epoch(epoch)
        project = repository.find(self.folders, path)
        paths = self.store.paths(epic)
        state = self.store.load(paths)
        existed = state is not None or paths.worktree.exists() or checkouts.find(project, paths) is not None
        if state:
            repository.check_same(self.folders, project, state.project)
            head = accepted_history.accepted(project, state)
            if not state.cleaning:
                snapshots.archive(project, paths, head)
                self.store.save(paths, replace(state, cleaning=True))
                failpoint("archive.after_state")
            failpoint("remove.before_move")
            if not refs.is_exactly(project.git, refs.branch_ref(epic.branch), head):
                # Fails if the epic's next place has had a commit accepted meanwhile.
                refs.update(project.git, refs.accepting(epic, head, head))
            failpoint("remove.after_move")
        with self.repositories.hold(project.common):
            checkouts.unregister(project, paths)
        failpoint("remove.after_forget")
        if paths.closed.exists() or not set_aside.try_remove(paths.worktree):
            set_aside.set_aside(self.store, paths)
        # Also removes temporary files of a killed service. The state is removed last, because it shows that the
        # removal is not complete.
        remaining = set(paths.worktree.parent.glob(f"{epic.epic}.*")) - {paths.state}
        for left in remaining:
            files.remove(left)
        if epic.candidate:
            candidates.delete_branch(project, epic)
        failpoint("remove.before_state")
        files.remove(paths.state)
        self.leases.release(epic)
        with suppress(OSError):  # the folder does not exist, or other epics of the run still have worktrees
            paths.worktree.parent.rmdir()
        (archived,) = refs.read(project.git, refs.archive_ref(epic))
        log.info("worktree_removed", epic=str(epic), path=str(paths.worktree), existed=existed)
        return Removed(existed, paths.worktree, archived)

    def restore(self, path: str, epic: EpicName, epoch: int, file: pb.ProjectFile) -> Restored:
        """Recreates an archived worktree; its uncommitted changes remain uncommitted. Idempotent."""
        self.check_epoch(epoch)
        project = repository.find(self.folders, path)
        paths = self.store.paths(epic)
        known = self.store.load(paths)
        if known:
            repository.check_same(self.folders, project, known.project)
        (archived,) = refs.read(project.git, refs.archive_ref(epic))
        if archived is None:
            raise archives.missing(epic)
        if known and known.restored == archived and not known.cleaning:
            return Restored(known, archived)
        if known.restored != archived if known else paths.worktree.exists():
            raise archives.in_the_way(paths)
        base = archives.base_of(project, epic, archived)
        self._check_disk(project)
        state = replace(known or self.begin(project, epic, base), restored=archived, cleaning=True)
        provided = self._plan_provisions(project, file, state, None)
        state = self.store.save(paths, state.with_provisions(project.common, provided.links.values()))
        failpoint("restore.after_claim")
        state, _ = self._make_ready(project, paths, state, base)
        failpoint("restore.before_files")
        snapshots.check_out_changes(project, paths, archived)
        provisions.provide(paths, provided)
        failpoint("restore.before_state")
        state = self.store.save(
            paths, replace(state, head=accepted_history.accepted(project, state), cleaning=False)
        )
        failpoint("restore.after_state")
        log.info("worktree_restored", epic=str(epic), path=str(paths.worktree), commit=archived)
        return Restored(state, archived)

    def release(self, epic: EpicName, epoch: int) -> None:
        """Releases the epic's lease but keeps its worktree. Idempotent."""
        self.check_epoch(epoch)
        paths = self.store.paths(epic)
        state = self.store.load(paths)
        failpoint("release.before_state")
        if state and state.lease:
            self.store.save(paths, replace(state, lease=None))
        self.leases.release(epic)

    def is_dirty(self, state: WorktreeState) -> bool | None:
        """Returns whether `remove` would archive anything; None if that cannot be determined."""
        try:
            project = repository.find(self.folders, str(state.project))
            (accepted,) = refs.read(project.git, refs.accepted_ref(state.epic))
            return snapshots.is_dirty(project, self.store.paths(state.epic), accepted or state.head)
        except (errors.HeddleError, OSError) as error:
            # The project is not available, or the worktree is being created or removed right now.
            log.info("worktree_not_inspected", epic=str(state.epic), error=str(error))
            return None

    def _plan_provisions(
        self, project: Project, file: pb.ProjectFile, state: WorktreeState, back_to: str | None
    ) -> Provisions:
        """Returns what to provide in the epic's worktree, which may be about to be rewound to `back_to`."""
        # After a crash, the state may not yet contain the last accepted commit.
        (accepted,) = refs.read(project.git, refs.accepted_ref(state.epic))
        return provisions.plan(project, file, back_to or accepted or state.head)

    def begin(self, project: Project, epic: EpicName, base_commit: str) -> WorktreeState:
        """Returns the initial state of an epic; raises BRANCH_EXISTS if Heddle did not create its branch."""
        start = repository.resolve(project, base_commit)
        branch, accepted = refs.read(project.git, refs.branch_ref(epic.branch), refs.accepted_ref(epic))
        if branch and not accepted:
            raise errors.HeddleError(
                pb.ERROR_REASON_BRANCH_EXISTS,
                f"the branch {epic.branch} exists already and is not Heddle's. Rename it:"
                f" git -C {project.top} branch -m {epic.branch} another-name",
                branch=epic.branch,
            )
        origin, start = start or accepted, accepted or start
        if start is None or origin is None:
            raise repository.unknown_revision(project, base_commit)
        return WorktreeState(epic, project.top, start=start, head=start, origin=origin)

    @contextmanager
    def _leased(self, state: WorktreeState, ports: int) -> Iterator[WorktreeState]:
        """Yields the state with a lease, for the block to save; releases a new lease if the block fails."""
        lease = self.leases.take(state.epic, ports)
        try:
            yield replace(state, lease=lease)
        except BaseException:
            if lease != state.lease:
                self.leases.release(state.epic)
            raise

    def _make_ready(
        self, project: Project, paths: WorktreePaths, state: WorktreeState, head: str
    ) -> tuple[WorktreeState, bool]:
        """Makes the worktree exactly `head`, after its content was kept.

        Also returns whether it was newly created.

        The returned state is not saved yet. Its incarnation is new if setup has to run again.
        """
        if paths.closed.exists():
            set_aside.set_aside(self.store, paths)
        if checkouts.is_complete(project, paths):
            if accepted_history.cleans_setup_away(project, state, head):
                state = self.store.save(
                    paths, replace(state, incarnation=secrets.token_hex(6), set_up_at=head)
                )
            if self._try_reset(project, paths, head):
                return state, False
        # The user may have checked out the branch of an epic whose worktree is gone.
        repository.check_not_checked_out(project, state.branch, but=paths.worktree)
        incarnation = secrets.token_hex(6)
        state = replace(state, incarnation=incarnation, made_at=int(time.time()), set_up_at=head)
        # The state is saved first, so a worktree without setup is never mistaken for the previous one.
        self.store.save(paths, replace(state, cleaning=True))
        with self.pool.making() as makers:
            prepared = self.pool.take(project, paths, head)
            if prepared is None:
                with self.repositories.hold(project.common):
                    checkouts.create(project, paths, head)
            checkouts.reset(project, paths, head, new=True, prepared=prepared, makers=makers)
        return state, True

    def _fill(self, project: Project, paths: WorktreePaths) -> tuple[submodule_fill.Unfilled, ...]:
        """Fills the submodules of a worktree that was just reset; returns those that failed."""
        folder = checkouts.find(project, paths)
        if folder is None:
            raise checkouts.damaged(paths)
        return submodule_fill.fill(project, paths.worktree, paths.index, folder)

    def _try_reset(self, project: Project, paths: WorktreePaths, head: str) -> bool:
        """Makes the worktree exactly `head`; False if it had another user's files and was moved away."""
        git = project.git.at(paths.worktree, index=paths.index)
        before = submodules.links(git) if paths.index.exists() else {}
        try:
            checkouts.reset(project, paths, head)
            # If `head` has a folder in place of a submodule of the attempt, git leaves the submodule's .git file there.
            for path in before.keys() - submodules.links(git).keys():
                if submodules.is_inside(paths.worktree, path):
                    files.remove(paths.worktree / path / ".git")
        except (errors.HeddleError, OSError):
            if not files.unlock(paths.worktree):
                raise
            set_aside.set_aside(self.store, paths)
            return False
        return True

    def keep(
        self, project: Project, paths: WorktreePaths, state: WorktreeState, head: str, attempt: AttemptName
    ) -> WorktreeState:
        """Keeps the worktree's content once, before it is cleaned for `attempt`; sets `cleaning` in the state.

        The owner's changes are kept as the owner's work, other changes as found changes.
        """
        if state.cleaning or not (state.owner or checkouts.exists(paths)):
            return state
        found = None
        if state.owner and not state.work_saved:
            kept = snapshots.keep(project, paths, head, state.owner)
        elif kept := snapshots.keep_found(project, paths, head, attempt, state.owner):
            found = ChangesFound(kept.ref, head, str(state.owner or ""))
            log.warning("changes_found", attempt=str(attempt), kept=kept.ref)
        state = self.store.save(paths, replace(state, cleaning=True, dirty=kept is not None, found=found))
        failpoint("keep.after_state")
        return state

    def _check_disk(self, project: Project) -> None:
        self.store.folder.mkdir(parents=True, exist_ok=True)
        folders = (self.store.folder, project.common)
        try:
            disk.check(folders, self.min_free_bytes, self.free_bytes)
        except errors.HeddleError:
            # Prepared worktrees are removed to make room for work.
            if not self.pool.empty():
                raise
            disk.check(folders, self.min_free_bytes, self.free_bytes)
