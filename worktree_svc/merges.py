"""Merges between branches, without a checkout."""

import shlex
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from heddle import errors, pb
from heddle.names import EpicName, RunName
from worktree_svc import messages, projects, refs
from worktree_svc.git import decode, failure, readable
from worktree_svc.leadership import StillLeads
from worktree_svc.private import PrivateFolders
from worktree_svc.projects import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# How often a target may move under a merge before the caller is told.
MOST_TRIES: Final = 10


class Merged(NamedTuple):
    """The target holds the source; `already` if it did before."""

    commit: str
    already: bool


class Conflict(NamedTuple):
    """Both sides changed these files; nothing was changed. `advice` is commands to run by hand."""

    files: list[str]
    advice: str


@dataclass(frozen=True)
class Request:
    """A merge that was asked for. `create_at` is where a missing target begins; empty: it must be there."""

    source: str
    target: str
    create_at: str
    subject: str
    resource: RunName | EpicName


@dataclass(frozen=True)
class Merges:
    """Merges branches. Calls about one target should not overlap; if they do, the loser tries again."""

    folders: PrivateFolders
    still_leads: StillLeads

    def merge(self, path: str, epoch: int, request: Request) -> Merged | Conflict:
        """Merges the source into the target, or says why not. Idempotent."""
        project = projects.find(self.folders, path)
        for field, branch in (("source_branch", request.source), ("target_branch", request.target)):
            projects.check_branch_name(project, field, branch)
        for _ in range(MOST_TRIES):
            self.still_leads(epoch)
            projects.check_not_checked_out(project, request.target)
            result = _try_merge(project, request)
            if result:
                return result
        raise errors.HeddleError(
            pb.ERROR_REASON_GIT_FAILED,
            f"{request.target} moved {MOST_TRIES} times while {request.source} was being merged into it."
            " Nothing was changed; try again when whoever moves it has finished.",
            command="git update-ref",
        )


def _try_merge(project: Project, request: Request) -> Merged | Conflict | None:
    """Merges once; None if the target moved meanwhile."""
    git = project.git
    ref = refs.branch_ref(request.target)
    source, target = refs.read(git, refs.branch_ref(request.source), ref)
    if source is None:
        raise projects.unknown_revision(project, request.source)
    onto = target or _start(project, request)
    if refs.is_ancestor(git, source, onto):
        if target is None and refs.try_move(git, [refs.Move(ref, onto, refs.ABSENT)]).code:
            return None
        return Merged(onto, already=True)
    arguments = ("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", onto, source)
    output = git.attempt(*arguments)
    if output.code not in {0, 1}:
        raise failure(arguments, output)
    tree, *files = decode(output.stdout).split("\0")[:-1]
    if output.code == 1:
        shown = sorted({readable(path) for path in files})
        log.info("merge_conflicted", source=request.source, target=request.target, files=shown)
        return Conflict(shown, _advice(project, request, onto if target is None else None))
    subject = request.subject or f"Merge {request.source} into {request.target}"
    message = messages.compose(subject, "", messages.merge_trailers(request.resource))
    author = git.by(project.author())
    commit = author.text(
        "commit-tree", "-p", onto, "-p", source, tree, stdin=message.encode(errors="replace")
    )
    moved = refs.try_move(git, [refs.Move(ref, commit, target or refs.ABSENT)])
    if moved.code:
        (now,) = refs.read(git, ref)
        if now == target:
            raise failure(("update-ref", "--stdin"), moved)
        return None
    log.info("merged", source=request.source, target=request.target, commit=commit)
    return Merged(commit, already=False)


def _start(project: Project, request: Request) -> str:
    if not request.create_at:
        raise projects.unknown_revision(project, request.target)
    commit = projects.resolve(project, request.create_at)
    if commit is None:
        raise projects.unknown_revision(project, request.create_at)
    return commit


def _advice(project: Project, request: Request, create_at: str | None) -> str:
    """Returns the commands that resolve a conflict by hand, ready to paste."""
    source, target = shlex.quote(request.source), shlex.quote(request.target)
    folder = shlex.quote(f"{project.top}-merge")
    lines = [
        f"cd {shlex.quote(str(project.top))}",
        *([f"git branch {target} {create_at}"] if create_at else []),
        f"git worktree add {folder} {target}",
        f"cd {folder}",
        f"git merge --no-ff {source}",
        "# mend the files between <<<<<<< and >>>>>>>, then:",
        "git add --all",
        "git commit --no-edit",
        f"cd {shlex.quote(str(project.top))}",
        f"git worktree remove {folder}",
    ]
    return "\n".join(lines)
