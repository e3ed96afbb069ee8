"""Commits the work of each accepted task as one commit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.names import AttemptName
from worktree_svc.content import (
    acceptance,
    accepted_history,
    agent_commits,
    agent_merges,
    checkouts,
    conflict_resolution,
    ignored_files,
    snapshots,
    unfinished_operations,
)
from worktree_svc.content.ignored_files import IgnoredFiles, Span
from worktree_svc.git import commit_messages, refs, worktree_views
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import Git
from worktree_svc.projects import claims, repository
from worktree_svc.projects.repository import Project
from worktree_svc.storage.epoch_fence import EpochCheck
from worktree_svc.storage.worktree_store import WorktreePaths, WorktreeState, WorktreeStore
from worktree_svc.worktrees.own_start import own_start

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Committed(NamedTuple):
    """The commit of an accepted task."""

    git: Git
    commit: str
    # The commit that it merged, which separates the merged work from the epic's own. Empty: none.
    merged: str
    # Why the remote of a placed epic refused its branch; the commit itself is accepted there. Empty: it did not.
    push_error: str = ""


class _Opened(NamedTuple):
    """A known worktree whose owner was checked."""

    project: Project
    paths: WorktreePaths
    state: WorktreeState
    # The last accepted commit.
    head: str


@dataclass(frozen=True)
class TaskCommits:
    """Commits the work of attempts in their worktrees. Calls for one epic must not overlap."""

    store: WorktreeStore
    folders: PrivateFolders
    check_epoch: EpochCheck

    def commit_requested(
        self, request: pb.CommitTaskRequest, attempt: AttemptName, spans: Sequence[Span]
    ) -> Committed:
        """Commits, submits or accepts the attempt's work, as the request says."""
        if request.submitted_commit:
            owner = AttemptName.parse(request.owner_attempt)
            return self.accept_submitted(
                request.project,
                attempt,
                request.epoch,
                request.submitted_commit,
                owner,
                generation=request.generation,
            )
        return self.commit_task(
            request.project,
            attempt,
            request.epoch,
            request.subject,
            request.body,
            rules=acceptance.ChangeRules(request.expect, request.allow_files),
            spans=spans,
            continued=request.continued_commit,
            submit=request.submit,
            generation=request.generation,
        )

    def commit_task(
        self,
        path: str,
        attempt: AttemptName,
        epoch: int,
        subject: str,
        body: str,
        *,
        rules: acceptance.ChangeRules,
        spans: Sequence[Span],
        continued: str = "",
        submit: bool = False,
        generation: int = 0,
    ) -> Committed:
        """Commits the attempt's work as one commit on the epic's branch. Idempotent.

        An epic with a `generation` has a place: the remote accepts the commit first, or else nothing is accepted.

        `spans` are the periods in which agents worked on the attempt's task. `continued` is an earlier submitted
        commit of the task, whose merges the new commit has too. With `submit`, the commit is only kept, and
        `accept_submitted` can accept it later.
        """
        opened = self._open(path, attempt, epoch, owner=attempt)
        if isinstance(opened, Committed):
            return opened
        project, paths, state, head = opened
        kept = refs.kept_ref(attempt)
        (submitted,) = refs.read(project.git, kept)
        if submit and submitted:
            return _committed(project.git, submitted, state)
        folder = checkouts.repair(project, paths)
        if generation and state.offered:
            return self._accept(project, paths, attempt, state, head, generation=generation, folder=folder)
        agent_commits.bring_in_head(project, paths)
        unfinished_operations.check(paths, folder)
        agent_merges.check_finished(project, paths, folder)
        _check_descent(project, paths, folder, head)
        made = checkouts.head_commit(project, paths, folder) or head
        own = accepted_history.own_messages(project.git, head, made)
        full_body = commit_messages.with_own_words(body, own)
        message = commit_messages.compose(subject, full_body, commit_messages.attempt_trailers(attempt))
        commit = self._write_commit(
            project, paths, replace(state, head=head), message, rules=rules, spans=spans, continued=continued
        )
        snapshots.own(project, head, commit)
        self.check_epoch(epoch)
        if submit:
            failpoint("submit_task.before_move")
            refs.update(project.git, [refs.RefUpdate(kept, commit, refs.ABSENT)])
            failpoint("submit_task.after_move")
            log.info("task_submitted", attempt=str(attempt), commit=commit)
            return _committed(project.git, commit, state)
        state = replace(state, offered=commit)
        if generation:
            # A repeated call offers the same commit, because the remote may have accepted it already.
            self.store.save(paths, state)
        return self._accept(project, paths, attempt, state, head, generation=generation, folder=folder)

    def _accept(
        self,
        project: Project,
        paths: WorktreePaths,
        attempt: AttemptName,
        state: WorktreeState,
        head: str,
        *,
        generation: int,
        folder: Path,
    ) -> Committed:
        """Accepts the offered commit: first at the remote if the epic has a place, then here."""
        commit = state.offered
        accepted = claims.accept(project, paths.epic, generation, commit) if generation else claims.UNPLACED
        failpoint("commit_task.before_move")
        claims.record(project, paths.epic, accepted, refs.accepting(paths.epic, commit, head))
        failpoint("commit_task.after_move")
        self._finish(project, paths, attempt, commit, folder)
        log.info("task_committed", attempt=str(attempt), commit=commit)
        return _committed(project.git, commit, state)._replace(push_error=accepted.push_error)

    def accept_submitted(
        self,
        path: str,
        attempt: AttemptName,
        epoch: int,
        commit: str,
        owner: AttemptName,
        *,
        generation: int = 0,
    ) -> Committed:
        """Moves the epic's branch to the commit that `attempt` has submitted. Idempotent.

        `owner` is the attempt that owns the worktree now. Its files do not count. Raises STALE_ATTEMPT if `commit`
        is not the attempt's work on top of the epic's last accepted commit.
        """
        opened = self._open(path, attempt, epoch, owner=owner)
        if isinstance(opened, Committed):
            return opened
        project, paths, state, head = opened
        if refs.parents(project.git, commit)[:1] != [head] or not accepted_history.is_of_attempt(
            project.git, commit, attempt
        ):
            raise state.stale(attempt)
        accepted = claims.accept(project, paths.epic, generation, commit) if generation else claims.UNPLACED
        failpoint("accept_submitted.before_move")
        claims.record(project, paths.epic, accepted, refs.accepting(paths.epic, commit, head))
        failpoint("accept_submitted.after_move")
        self._finish(project, paths, attempt, commit, None)
        log.info("submitted_task_accepted", attempt=str(attempt), commit=commit)
        return _committed(project.git, commit, state)._replace(push_error=accepted.push_error)

    def _open(
        self, path: str, attempt: AttemptName, epoch: int, *, owner: AttemptName
    ) -> "Committed | _Opened":
        """Returns the worktree of an attempt, or its commit if it is already accepted.

        `owner` is the attempt that owns the worktree now. Raises STALE_EPOCH, STALE_ATTEMPT, and WORKTREE_LOST if
        the worktree is not known here.
        """
        self.check_epoch(epoch)
        project = repository.find(self.folders, path)
        paths = self.store.paths(owner.workspace)
        state = self.store.load(paths)
        if done := self._accepted_before(project, paths, state, attempt):
            return done
        if state is None:
            raise errors.HeddleError(
                pb.ERROR_REASON_WORKTREE_LOST,
                f"this worker does not know the worktree {paths.worktree}; another attempt makes it again",
                path=paths.worktree,
            )
        repository.check_same(self.folders, project, state.project)
        state.check_owner(owner)
        return _Opened(project, paths, state, accepted_history.accepted(project, state))

    def _accepted_before(
        self, project: Project, paths: WorktreePaths, state: WorktreeState | None, attempt: AttemptName
    ) -> Committed | None:
        """Returns the attempt's accepted commit; None if there is none yet."""
        (head,) = refs.read(project.git, refs.accepted_ref(paths.epic))
        if head and accepted_history.is_of_attempt(project.git, head, attempt):
            # After a crash, the repeated call completes the first one.
            self._finish(project, paths, attempt, head, None)
            return _committed(project.git, head, state)
        if state is not None and state.owner != attempt:
            repository.check_same(self.folders, project, state.project)
            earlier = accepted_history.commit_of(project.git, state, attempt)
            if earlier:
                return _committed(project.git, earlier, state)
        return None

    def _write_commit(
        self,
        project: Project,
        paths: WorktreePaths,
        state: WorktreeState,
        message: str,
        *,
        rules: acceptance.ChangeRules,
        spans: Sequence[Span],
        continued: str,
    ) -> str:
        """Commits the worktree's files on top of the state's head.

        Raises an error if the change may not be accepted.
        """
        with snapshots.writing(project, paths) as git:
            tree = snapshots.take(git, project, paths, state.head, own_files_only=True)
            parents = [state.head, *_merged(project, git, paths, tree, state, before=continued)]
            acceptance.check(git, tree, parents, rules, partial(ignored_files.written, project, paths, spans))
            named = [argument for parent in parents for argument in ("-p", parent)]
            return git.with_author(project.author()).text(
                "commit-tree", *named, tree, stdin=message.encode(errors="replace")
            )

    def ignored_files(self, path: str, attempt: AttemptName, spans: Sequence[Span]) -> IgnoredFiles:
        """Returns the ignored files that were written within `spans`; empty if they cannot be determined."""
        paths = self.store.paths(attempt.workspace)
        try:
            return ignored_files.written(repository.find(self.folders, path), paths, spans)
        except (errors.HeddleError, OSError) as error:
            # The commit has already been made, and the list is only informational.
            log.warning("ignored_files_not_listed", attempt=str(attempt), error=str(error))
            return IgnoredFiles()

    def _finish(
        self,
        project: Project,
        paths: WorktreePaths,
        attempt: AttemptName,
        commit: str,
        folder: Path | None,
    ) -> None:
        """Puts the worktree on the new commit of `attempt`. `folder` is its git folder; None: it has to be checked first."""
        state = self.store.load(paths)
        if state is None or state.head == commit:
            return
        checkouts.attach(project, paths, folder or checkouts.repair(project, paths))
        worktree_views.refresh(paths.worktree, project.common, refs.branch_ref(paths.epic.branch))
        failpoint("commit_task.before_state")
        # Files of nested worktrees were not committed, and still belong to the owner. So does what a reviewer changed.
        work_saved = state.owner == attempt and not checkouts.has_nested_worktrees(project, paths)
        self.store.save(paths, replace(state, head=commit, merging="", offered="", work_saved=work_saved))
        failpoint("commit_task.after_state")


def _committed(git: Git, commit: str, state: WorktreeState | None) -> Committed:
    """Returns the commit, with the commit that separates what it merged from the epic's own work, if it merged anything."""
    merged = refs.parents(git, commit)[1:]
    if not merged or state is None:
        return Committed(git, commit, next(iter(merged), ""))
    start = own_start(git, state.began_at, commit)
    return Committed(git, commit, start if start != state.began_at else "")


def _merged(
    project: Project, repository: Git, paths: WorktreePaths, tree: str, state: WorktreeState, *, before: str
) -> list[str]:
    """Returns the commits to merge into the epic's head together with `tree`.

    `before` is an earlier commit of the work, whose merges count too; empty: none.
    Raises an error if a merge is unresolved.
    """
    head, merging = state.head, state.merging
    if merging:
        conflict_resolution.check(repository, paths, tree, head, merging)
    found = agent_merges.find(project, repository, paths, head, tree)
    earlier = refs.parents(project.git, before)[1:] if before else []
    others = [commit for commit in (merging, *found.commits, *earlier) if commit]
    if found.brought_in:
        agent_merges.check_markers(repository, tree, [head, *others])
    return refs.independent(project.git, others) if others else []


def _check_descent(project: Project, paths: WorktreePaths, folder: Path, head: str) -> None:
    """Raises WORKTREE_DAMAGED if the agent left the worktree on a commit without the accepted work.

    On the epic's own branch, an agent may commit, amend and rebase. On another branch, its
    files are valid only on top of `head`.
    """
    if checkouts.is_on_epic_branch(paths, folder):
        return
    commit = checkouts.head_commit(project, paths, folder)
    if commit is None or not refs.is_ancestor(project.git, head, commit):
        raise errors.HeddleError(
            pb.ERROR_REASON_WORKTREE_DAMAGED,
            f"the agent left {paths.worktree} on an unrelated commit ({commit or 'a branch without a commit'}),"
            " so its files would undo the work accepted before. Start another attempt; its files"
            " are kept under refs/heddle/attempts/.",
            path=paths.worktree,
        )
