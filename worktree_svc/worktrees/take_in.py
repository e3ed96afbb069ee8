"""Merges commits into an epic, in memory, before one of its tasks starts.

These are accepted commits of other epics that the task needs, and the project's branch if the epic stays current
with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import structlog

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.names import AttemptName, EpicName
from worktree_svc.git import commit_messages, refs, trees
from worktree_svc.git.process.command import Git
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import TakenBase, WorktreeState
from worktree_svc.worktrees import rewind
from worktree_svc.worktrees.own_start import own_start

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Base(NamedTuple):
    """The project's branch to take in.

    `ref` is its full name, `known` its commit that the epic builds on; empty: unknown. `problem` is why its commit
    cannot be found out; empty: none.
    """

    branch: str
    ref: str
    known: str
    problem: str = ""


class Wanted(NamedTuple):
    """What to take in; with `resolve`, the attempt resolves a conflict."""

    commits: Sequence[str] = ()
    base: Base | None = None
    resolve: bool = False


NOTHING: Final = Wanted()


def wanted_by(request: pb.EnsureWorktreeRequest, mirrors: Mirrors) -> Wanted:
    """Returns what a request wants; in a project by URL, fetches the branch from the remote."""
    base = None
    if request.HasField("base"):
        branch, known = request.base.branch, request.base.known_commit
        try:
            base = Base(branch, mirrors.fetched_ref(request.project, branch), known)
        except errors.HeddleError as error:
            # The task can do without it.
            base = Base(branch, "", known, error.message)
    return Wanted(request.take_in, base, request.resolve_conflict)


class Taken(NamedTuple):
    """The epic's new last commit.

    `conflict` is the commit whose merge the attempt must resolve; empty: nothing conflicts. `base` is None if no
    branch was wanted, or another conflict must be resolved first.
    """

    head: str
    conflict: str
    base: TakenBase | None


class _Conflict(NamedTuple):
    """A commit that conflicts with the epic, and the files."""

    commit: str
    files: list[str]


def take_in(project: Project, attempt: AttemptName, head: str, origin: str, wanted: Wanted) -> Taken:
    """Merges what is wanted into the epic, whose last accepted commit is `head` and whose branch began at `origin`.

    Raises NEEDS_CONFLICT if several commits conflict, or any without `resolve`, and SYNC_CONFLICT if the branch does
    without `resolve`; what did not conflict is merged then.
    """
    git, base = project.git, wanted.base
    epic = _Epic(project, attempt.parent.parent, origin, head)
    tip = refs.read(git, base.ref)[0] if base and not base.problem else None
    epic.follow_person([*wanted.commits, *([tip] if tip else [])])
    conflicts: list[_Conflict] = []
    for commit in wanted.commits:
        subject = f"Take in {commit[:10]}, which task {attempt.parent.whole.task} needs"
        conflicts += epic.merge(commit, subject)
    if conflicts and (len(conflicts) > 1 or not wanted.resolve):
        raise _refused(epic.name, conflicts)
    if base is None or conflicts:
        return Taken(epic.head, epic.to_resolve(conflicts), None)
    if problem := _problem(git, base, epic.head, tip):
        return Taken(epic.head, "", TakenBase(problem=problem))
    assert tip  # noqa: S101 (a branch without a commit is a problem)
    count = git.text("rev-list", "--count", f"{_known(git, base) or origin}..{tip}")
    conflicts += epic.merge(tip, f"Take in {base.branch} at {tip[:10]}")
    if conflicts and not wanted.resolve:
        raise _out_of_sync(epic.name, base, conflicts[0])
    taken = TakenBase(tip, int(count), conflicts=bool(conflicts))
    return Taken(epic.head, epic.to_resolve(conflicts), taken)


def advanced(
    project: Project,
    attempt: AttemptName,
    state: WorktreeState,
    head: str,
    *,
    back_to: str | None,
    wanted: Wanted,
) -> tuple[WorktreeState, Taken]:
    """Rewinds the epic if that is wanted, then takes in what is wanted; returns where the attempt starts."""
    if back_to:
        rewind.rewind(project, attempt, head, back_to)
        state, head = replace(state, start=back_to), back_to
    return state, take_in(project, attempt, head, state.began_at, wanted)


def describe(
    project: Project,
    state: WorktreeState,
    request: pb.EnsureWorktreeRequest,
    answer: pb.EnsureWorktreeResponse,
) -> None:
    """Fills in what the epic took in, and the conflict that its owner must resolve."""
    git, origin = project.git, state.began_at
    start = own_start(git, origin, state.head)
    answer.taken_in = start if start != origin or request.rewind_to else ""
    if state.base and request.HasField("base"):
        answer.base.CopyFrom(pb.BaseTakenIn(**state.base._asdict()))
    if state.merging and not request.merge_revision:
        (merge,) = trees.merged(git, [(state.head, state.merging)], temporary=True)
        answer.conflict_commit = state.merging
        answer.conflict_files.extend(merge.files)


@dataclass
class _Epic:
    """The epic that takes commits in: where its branch began, and its last commit."""

    project: Project
    name: EpicName
    origin: str
    head: str

    def follow_person(self, commits: Sequence[str]) -> None:
        """Moves to where a person moved the epic's branch, if that contains `head` and one of `commits`."""
        git = self.project.git
        (tip,) = refs.read(git, refs.branch_ref(self.name.branch)) if commits else (None,)
        if not tip or tip == self.head or not refs.is_ancestor(git, self.head, tip):
            return
        if any(refs.is_ancestor(git, each, tip) and not self._has(each) for each in commits):
            self._move(tip)

    def merge(self, commit: str, subject: str) -> list[_Conflict]:
        """Merges a commit that the epic does not contain; returns its conflict, if it conflicts."""
        if self._has(commit):
            return []
        whole = self._with_earlier(commit)
        (merge,) = trees.merged(self.project.git, [(self.head, whole)], temporary=False)
        if not merge.clean:
            return [_Conflict(commit, merge.files)]
        self._move(self._committed([self.head, whole], merge.tree, subject))
        return []

    def to_resolve(self, conflicts: Sequence[_Conflict]) -> str:
        """Returns the commit that the attempt must merge to resolve the only conflict; empty: there is none."""
        return self._with_earlier(conflicts[0].commit) if conflicts else ""

    def _has(self, commit: str) -> bool:
        return refs.is_ancestor(self.project.git, commit, self.head)

    def _with_earlier(self, commit: str) -> str:
        """Returns a commit with `commit` and what the epic took in before, and without its own work.

        The epic's own work is then the difference to one commit. If the two conflict, returns `commit`.
        """
        git = self.project.git
        earlier = own_start(git, self.origin, self.head)
        if refs.is_ancestor(git, earlier, commit):
            return commit
        (merge,) = trees.merged(git, [(earlier, commit)], temporary=False)
        if not merge.clean:
            return commit
        subject = f"Merge {commit[:10]} with what was taken in before"
        return self._committed([earlier, commit], merge.tree, subject)

    def _committed(self, parents: Sequence[str], tree: str, subject: str) -> str:
        message = commit_messages.compose(subject, "", commit_messages.merge_trailers(self.name))
        named = [word for parent in parents for word in ("-p", parent)]
        git = self.project.git.with_author(self.project.author())
        return git.text("commit-tree", *named, tree, stdin=message.encode(errors="replace"))

    def _move(self, new: str) -> None:
        failpoint("take_in.before_move")
        refs.update(self.project.git, refs.accepting(self.name, new, self.head))
        failpoint("take_in.after_move")
        log.info("taken_in", epic=str(self.name), before=self.head, commit=new)
        self.head = new


def _problem(git: Git, base: Base, head: str, tip: str | None) -> str:
    """Returns why the branch, which is at `tip`, cannot be taken in; empty: it can."""
    if base.problem or tip is None:
        return base.problem or f"the branch {base.branch} no longer exists"
    if refs.is_ancestor(git, tip, head):
        return ""
    known = _known(git, base)
    if known and not refs.is_ancestor(git, known, tip):
        return (
            f"{base.branch} was rewritten: it no longer contains {known[:10]}, on which the epic builds. Merge or"
            " rebase it by hand"
        )
    if git.run("merge-base", head, tip).code:
        return f"{base.branch} and the epic have no commit in common"
    return ""


def _known(git: Git, base: Base) -> str:
    return (refs.resolve(git, base.known) or "") if base.known else ""


def _refused(epic: EpicName, conflicts: Sequence[_Conflict]) -> errors.HeddleError:
    files = sorted({file for each in conflicts for file in each.files})
    commits = " ".join(each.commit for each in conflicts)
    return errors.HeddleError(
        pb.ERROR_REASON_NEEDS_CONFLICT,
        f"the work that this task needs conflicts with its epic in {_listed(files)}. To merge it by hand:"
        f" {_by_hand(epic, commits)}; then retry the task. Or set on_conflict: agent for the epic and retry it",
        files=", ".join(files),
        commit=conflicts[0].commit,
    )


def _out_of_sync(epic: EpicName, base: Base, conflict: _Conflict) -> errors.HeddleError:
    return errors.HeddleError(
        pb.ERROR_REASON_SYNC_CONFLICT,
        f"{base.branch} conflicts with the epic in {_listed(conflict.files)}. To merge it by hand:"
        f" {_by_hand(epic, conflict.commit)}",
        files="\n".join(conflict.files),
        commit=conflict.commit,
    )


def _listed(files: Sequence[str]) -> str:
    return ", ".join(files[:5]) + (", …" if len(files) > 5 else "")


def _by_hand(epic: EpicName, commits: str) -> str:
    return (
        f"git worktree add --detach FOLDER {epic.branch}; in FOLDER: git merge {commits}, resolve, commit, and git"
        f" update-ref refs/heads/{epic.branch} HEAD"
    )
