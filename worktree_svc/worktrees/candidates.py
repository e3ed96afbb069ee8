"""Where the worktrees of candidates start: all candidates of a task at the same commit of their epic.

A candidate works in a worktree of its own, HEDDLE_HOME/worktrees/RUN/EPIC@N/, with a branch of its own. What the
epic itself needs before a task starts, a rewind or the work of other epics, happens to the epic's own
branch once, with the first candidate. Its worktree is not touched: whoever requests it next gets it cleaned.
"""

from dataclasses import replace
from typing import Protocol

from heddle.failpoints import failpoint
from heddle.names import AttemptName, EpicName
from worktree_svc.content import accepted_history, checkouts
from worktree_svc.git import refs
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreePaths, WorktreeState, WorktreeStore
from worktree_svc.worktrees import rewind, take_in
from worktree_svc.worktrees.take_in import Wanted


class _Worktrees(Protocol):
    @property
    def store(self) -> WorktreeStore: ...
    def begin(self, project: Project, epic: EpicName, base_commit: str) -> WorktreeState: ...
    def keep(
        self, project: Project, paths: WorktreePaths, state: WorktreeState, head: str, attempt: AttemptName
    ) -> WorktreeState: ...


def prepare_epic(
    worktrees: _Worktrees,
    project: Project,
    attempt: AttemptName,
    base_commit: str,
    *,
    back_to: str | None,
    wanted: Wanted,
) -> tuple[str, str]:
    """Returns the commit at which all candidates start, and the commit whose conflict each of them must resolve.

    An epic without a branch gets one at `base_commit`. With `back_to`, what was accepted since that commit is set
    aside. The `wanted` commits are merged into the epic as `take_in` does, and with its errors; the project's branch
    is not, because it can move before the next candidate starts. Idempotent.
    """
    epic = attempt.parent.parent
    paths = worktrees.store.paths(epic)
    known = worktrees.store.load(paths)
    state = known or worktrees.begin(project, epic, base_commit)
    head = accepted_history.accepted(project, state)
    rewinds = back_to is not None and accepted_history.has_accepted(project.git, state, back_to, head)
    moves = rewinds or not all(refs.is_ancestor(project.git, each, head) for each in wanted.commits)
    if known and moves:
        # What is in the epic's worktree is kept with the commit that it is based on.
        state = worktrees.keep(project, paths, state, head, attempt)
    if rewinds and back_to is not None:
        rewind.rewind(project, attempt, head, back_to)
        head = back_to
        if known:
            worktrees.store.save(paths, replace(state, start=back_to))
    taken = take_in.take_in(project, attempt, head, state.began_at, wanted._replace(base=None))
    return taken.head, taken.conflict


def start_at(project: Project, state: WorktreeState, head: str, base: str) -> WorktreeState:
    """Moves the branch of a candidate's worktree, whose content is kept, from `head` to `base`."""
    if head != base:
        checkouts.free_branch(project, state.epic)
        failpoint("start_candidate.before_move")
        refs.update(project.git, refs.accepting(state.epic, base, head))
        failpoint("start_candidate.after_move")
    return replace(state, start=base)


def delete_branch(project: Project, epic: EpicName) -> None:
    """Deletes the branch of a candidate's removed worktree: it names no work, which is kept by attempt."""
    checkouts.free_branch(project, epic)
    for ref in (refs.branch_ref(epic.branch), refs.accepted_ref(epic)):
        project.git.text("update-ref", "--no-deref", "-d", ref)
