"""Merges accepted commits of other epics into an epic, in memory, before one of its tasks starts."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.names import AttemptName, EpicName
from worktree_svc.git import commit_messages, refs, trees
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreeState

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Conflict(NamedTuple):
    """A commit that conflicts with the epic, and the files."""

    commit: str
    files: list[str]


def take_in(
    project: Project, attempt: AttemptName, head: str, commits: Sequence[str], *, resolve: bool
) -> tuple[str, str]:
    """Merges `commits` into the epic, whose last accepted commit is `head`; returns the new one.

    Also returns the commit whose conflict the attempt must resolve; empty: nothing conflicts. Raises
    NEEDS_CONFLICT if there are several, or any without `resolve`; what did not conflict is merged then.
    """
    epic = attempt.parent.parent
    conflicts: list[Conflict] = []
    if commits and (by_hand := _merged_by_hand(project, epic, head, commits)):
        head = _move(project, epic, head, by_hand)
    for commit in commits:
        if refs.is_ancestor(project.git, commit, head):
            continue
        (merge,) = trees.merged(project.git, [(head, commit)], temporary=False)
        if merge.clean:
            head = _move(project, epic, head, _committed(project, attempt, head, commit, merge.tree))
        else:
            conflicts.append(Conflict(commit, merge.files))
    if conflicts and (len(conflicts) > 1 or not resolve):
        raise _refused(epic, conflicts)
    return head, conflicts[0].commit if conflicts else ""


def describe(
    project: Project, state: WorktreeState, commits: Sequence[str], answer: pb.EnsureWorktreeResponse
) -> None:
    """Fills in what the epic has of `commits`, and the conflict with one of them that its owner must resolve."""
    git = project.git
    held = (each for each in reversed(commits) if refs.is_ancestor(git, each, state.head))
    answer.taken_in = next((each for each in held if refs.is_ancestor(git, state.start, each)), "")
    if state.merging in commits:
        (merge,) = trees.merged(git, [(state.head, state.merging)], temporary=True)
        answer.conflict_commit = state.merging
        answer.conflict_files.extend(merge.files)


def _committed(project: Project, attempt: AttemptName, head: str, commit: str, tree: str) -> str:
    trailers = commit_messages.merge_trailers(attempt.parent.parent)
    subject = f"Take in {commit[:10]}, which task {attempt.parent.whole.task} needs"
    message = commit_messages.compose(subject, "", trailers).encode(errors="replace")
    parents = ("-p", head, "-p", commit)
    return project.git.with_author(project.author()).text("commit-tree", *parents, tree, stdin=message)


def _merged_by_hand(project: Project, epic: EpicName, head: str, commits: Sequence[str]) -> str:
    """Returns the commit to which a person moved the epic's branch, if it contains `head` and one of `commits`."""
    git = project.git
    (tip,) = refs.read(git, refs.branch_ref(epic.branch))
    if not tip or tip == head or not refs.is_ancestor(git, head, tip):
        return ""
    merged = (refs.is_ancestor(git, each, tip) and not refs.is_ancestor(git, each, head) for each in commits)
    return tip if any(merged) else ""


def _move(project: Project, epic: EpicName, head: str, new: str) -> str:
    failpoint("take_in.before_move")
    refs.update(project.git, refs.accepting(epic, new, head))
    failpoint("take_in.after_move")
    log.info("taken_in", epic=str(epic), before=head, commit=new)
    return new


def _refused(epic: EpicName, conflicts: Sequence[Conflict]) -> errors.HeddleError:
    files = sorted({file for each in conflicts for file in each.files})
    named = ", ".join(files[:5]) + (", …" if len(files) > 5 else "")
    commits = " ".join(each.commit for each in conflicts)
    return errors.HeddleError(
        pb.ERROR_REASON_NEEDS_CONFLICT,
        f"the work that this task needs conflicts with its epic in {named}. To merge it by hand: git worktree add"
        f" --detach FOLDER {epic.branch}; in FOLDER: git merge {commits}, resolve, commit, and git update-ref"
        f" refs/heads/{epic.branch} HEAD; then retry the task. Or set on_conflict: agent for the epic and retry it",
        files=", ".join(files),
        commit=conflicts[0].commit,
    )
