"""MergeBranch: merges one branch into another in memory, without a checkout."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.names import EpicName, RunName
from worktree_svc.content import agent_merges
from worktree_svc.git import commit_messages, refs, trees
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import Git, Output, failure
from worktree_svc.merges import fast_forward
from worktree_svc.merges.conflict_hunks import Hunk, hunks
from worktree_svc.projects import branch_records, repository
from worktree_svc.projects.repository import Project
from worktree_svc.storage.epoch_fence import EpochCheck

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# How often to repeat a merge whose target moved, before the caller gets an error.
MOST_TRIES: Final = 10


class Merged(NamedTuple):
    """A merged target with its tree; `already` if it already contained the source. A preview has no commit."""

    commit: str
    already: bool
    tree: str


class Conflict(NamedTuple):
    """Both sides changed these files; nothing was merged. `advice` contains the commands to merge by hand."""

    files: list[str]
    advice: str
    hunks: list[Hunk]
    source: str
    target: str


@dataclass(frozen=True)
class MergeRequest:
    """A requested merge.

    `create_at` is the commit at which a missing target is created; empty: the target must exist.
    `squash`: the result does not contain the source's own commits. `preview`: no ref moves.
    """

    source: str
    target: str
    create_at: str
    subject: str
    resource: RunName | EpicName
    squash: bool = False
    preview: bool = False


@dataclass(frozen=True)
class BranchMerges:
    """Merges branches. Calls for one target should not overlap; if they do, the later merge is repeated."""

    folders: PrivateFolders
    check_epoch: EpochCheck

    def merge(self, path: str, epoch: int, request: MergeRequest) -> Merged | Conflict:
        """Merges the source into the target, or returns the conflict. Idempotent."""
        project = repository.find(self.folders, path)
        for field, branch in (("source_branch", request.source), ("target_branch", request.target)):
            repository.check_branch_name(project, field, branch)
        if request.preview:
            found = _look(project, request)
            return found if isinstance(found, Conflict) else Merged(found.commit, found.already, found.tree)
        for _ in range(MOST_TRIES):
            self.check_epoch(epoch)
            repository.check_not_checked_out(project, request.target)
            result = _try_merge(project, request)
            if result:
                return result
        raise errors.HeddleError(
            pb.ERROR_REASON_GIT_FAILED,
            f"{request.target} moved {MOST_TRIES} times while {request.source} was being merged into it."
            " Nothing was changed; try again when the target no longer moves.",
            command="git update-ref",
        )


class CleanMerge(NamedTuple):
    """A merge without conflicts of `source` into `onto`, the target's commit or the commit to create it at."""

    source: str
    target: str | None
    onto: str
    tree: str
    already: bool

    @property
    def commit(self) -> str:
        return self.onto if self.already else ""


def _try_merge(project: Project, request: MergeRequest) -> Merged | Conflict | None:
    """Tries the merge once; returns None if the target moved meanwhile."""
    found = _look(project, request)
    if isinstance(found, Conflict):
        return found
    commit = found.onto if found.already else commit_merge(project, request, found)
    if not move_target(project.git, request.target, commit, found.target):
        return None
    log.info("merged", source=request.source, target=request.target, commit=commit)
    return Merged(commit, found.already, found.tree)


def _look(project: Project, request: MergeRequest) -> CleanMerge | Conflict:
    target = branch_records.commit_of(project, request.target, restore=not request.preview)
    return merge_onto(project, request, target or target_start(project, request), target)


def move_target(git: Git, branch: str, commit: str, old: str | None) -> bool:
    """Moves a branch from `old` (None: it does not exist) to `commit`.

    Returns False if it is at another commit.
    """
    ref, recorded = refs.branch_ref(branch), branch_records.record_updates(git, branch, commit)
    if commit == old and not recorded:
        return True
    failpoint("merge.before_move")
    moved = refs.try_update(git, [refs.RefUpdate(ref, commit, old or refs.ABSENT), *recorded])
    failpoint("merge.after_move")
    if not moved.code:
        return True
    (now,) = refs.read(git, ref)
    if now == old:
        raise failure(("update-ref", "--stdin"), moved)
    return now == commit


def merge_onto(
    project: Project, request: MergeRequest, onto: str, target: str | None
) -> CleanMerge | Conflict:
    """Merges the source into the commit `onto`, in memory; keeps the new objects unless it is a preview.

    `target` is the commit of the target's branch; None if it does not exist.
    """
    git = project.git
    source = branch_records.commit_of(project, request.source, restore=not request.preview)
    if source is None:
        raise repository.unknown_revision(project, request.source)
    tree = fast_forward.tree_of(git, source, onto)
    if tree:
        return CleanMerge(source, target, onto, tree, already=source == onto)
    with (
        trees.merging(git, onto, source, temporary=request.preview) as merge,
        _asking_for_squashed(git, source, onto) as is_held,
    ):
        (clean, tree, files), tree_of_onto = merge()
        if is_held():
            return CleanMerge(source, target, onto, tree_of_onto, already=True)
    if not clean:
        log.info("merge_conflicted", source=request.source, target=request.target, files=files)
        found = hunks(git, onto, source)
        by_hand = advice(project, request, target, unmarked=[each.file for each in found if not each.line])
        return Conflict(files, by_hand, found, source, onto)
    # If the target contains the source, the merge does not change it. Only in that case is it worth asking git.
    already = tree == tree_of_onto and refs.is_ancestor(git, source, onto)
    if already:
        _check_by_hand(git, request, tree)
    return CleanMerge(source, target, onto, tree, already)


def _check_by_hand(git: Git, request: MergeRequest, tree: str) -> None:
    """Raises MARKERS_LEFT if a manual merge of the source left conflict markers or generated file names."""
    # The names that git writes into the markers; see `advice`.
    names = (request.source, refs.branch_ref(request.source))
    words = (word for name in names for word in ("-e", f">>>>>>> {name}"))
    left = trees.matching(git, tree, "-I", "--fixed-strings", *words)
    # Generated file names, for example if a file conflicts with a folder.
    made_up = tuple(f"~{name.replace('/', '_')}" for name in names)
    listed = git.items("ls-tree", "-r", "-z", "--name-only", tree)
    left += [path for path in listed if any(word in path for word in made_up)]
    if left:
        raise agent_merges.markers_left(left)


def commit_merge(project: Project, request: MergeRequest, found: CleanMerge) -> str:
    """Creates the commit of a merge; no ref points to it yet."""
    trailers = commit_messages.merge_trailers(request.resource)
    parents = ["-p", found.onto]
    if request.squash:
        trailers[commit_messages.MERGED] = found.source
        parents += [word for parent in _taken_in(project.git, found) for word in ("-p", parent)]
    else:
        parents += ["-p", found.source]
    subject = request.subject or f"Merge {request.source} into {request.target}"
    message = commit_messages.compose(subject, "", trailers).encode(errors="replace")
    return project.git.with_author(project.author()).text("commit-tree", *parents, found.tree, stdin=message)


def _taken_in(git: Git, found: CleanMerge) -> list[str]:
    """Returns commits of the user's branches that were merged into the source but are not in the target.

    A squashed merge keeps them as parents. Otherwise the next merge with those branches would conflict with its
    own changes.
    """
    options = ("--first-parent", "--merges", "--parents", "--stdin")
    listed = git.text("rev-list", *options, stdin=f"{found.source}\n^{found.onto}\n".encode())
    merged = dict.fromkeys(parent for line in listed.splitlines() for parent in line.split(" ")[2:])
    own = [each for each in merged if not refs.on_users_branch(git, each)]
    # A commit of Heddle can combine such a commit with work of other epics.
    combined = dict.fromkeys(parent for each in own for parent in refs.parents(git, each))
    kept = [
        commit
        for commit in dict.fromkeys((*merged, *combined))
        if not refs.is_ancestor(git, commit, found.onto) and refs.on_users_branch(git, commit)
    ]
    return refs.independent(git, kept) if kept else []


@contextmanager
def _asking_for_squashed(git: Git, source: str, onto: str) -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether `onto` contains the squashed `source`; git searches during the block."""
    options = ("--stdin", "--first-parent", f"--grep=^{commit_messages.MERGED}: ")

    def is_held(listed: Output) -> bool:
        if listed.code:
            raise failure(("rev-list", *options), listed)
        contents = (git.content(commit) or b"" for commit in listed.stdout.decode().split())
        return any(f"{commit_messages.MERGED}: {source}".encode() in content for content in contents)

    with git.running_spare("rev-list", *options, stdin=f"{onto}\n^{source}\n".encode()) as output:
        yield lambda: is_held(output())


def target_start(project: Project, request: MergeRequest) -> str:
    """Returns the commit at which a missing target is created; raises UNKNOWN_REVISION."""
    if not request.create_at:
        raise repository.unknown_revision(project, request.target)
    return repository.existing(project, request.create_at)


def advice(
    project: Project,
    request: MergeRequest,
    at: str | None,
    *,
    clean: bool = False,
    unmarked: Sequence[str] = (),
) -> str:
    """Returns the commands for a merge by hand, ready to paste.

    `at`: the target's commit, None if it does not exist.

    `clean`: git merges without a conflict, and the user then fixes the files. `unmarked`: files whose conflicts
    have no markers.
    """
    # `git merge` would prefer a tag to a branch of the same name.
    source = shlex.quote(refs.unambiguous(project.git, request.source))
    target = shlex.quote(request.target)
    # A line break in a name would end the comment.
    named = ", ".join(re.sub(r"[\x00-\x1f\x7f]", "?", name) for name in unmarked)
    decide = f"# resolve what has no markers: change, move or remove {named}"
    folder = shlex.quote(f"{project.top}-merge")
    markers = "# fix the files between <<<<<<< and >>>>>>>, then:"
    amend = clean and not request.squash
    lines = [
        f"cd {shlex.quote(str(project.top))}",
        *([] if at else [f"git branch {target} {target_start(project, request)}"]),
        f"git worktree add {folder} {target}",
        f"cd {folder}",
        f"git merge {'--squash' if request.squash else '--no-ff'} {source}",
        *([decide] if unmarked else []),
        "# fix what the checks find, then:" if clean else markers,
        "git add --all",
        f"git commit --no-edit{' --amend' if amend else ''}",
        f"cd {shlex.quote(str(project.top))}",
        f"git worktree remove {folder}",
    ]
    return "\n".join(lines)
