"""Snapshots: the content of a worktree as a git tree, kept under refs/heddle/attempts/ and refs/heddle/archive/.

Snapshots do not depend on anything that an agent can break, such as the worktree's .git file,
index or HEAD. They use the service's own index, saved when the worktree was last clean.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from heddle.failpoints import failpoint
from heddle.names import AttemptName
from worktree_svc.content import agent_commits, checkouts, special_files, submodule_fill, worktree_content
from worktree_svc.content.worktree_content import Work
from worktree_svc.git import commit_messages, refs, trees
from worktree_svc.git.process.command import SCRATCH, Git, failure
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files
from worktree_svc.storage.worktree_store import WorktreePaths

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Unlike diff-files, this compares the content of a file if only its times have changed.
_COMPARES: Final = ("diff", "--quiet", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")

# The time limit of one git command that looks at a worktree in which an agent may be working.
_LOOKING_SECONDS: Final = 30.0

# The most paths in a log line.
_MOST_LOGGED: Final = 20


class Kept(NamedTuple):
    """The kept work of an attempt: its commit, and the ref that keeps the commit."""

    ref: str
    commit: str


@contextmanager
def writing(project: Project, paths: WorktreePaths) -> Iterator[Git]:
    """Yields the project's git; at the end of the block, saves the new objects, then the index.

    The index must never list a file whose object is missing: git would trust it.
    """
    new = paths.next_index
    # A service that was killed left these; nothing else uses them.
    for left in (new, *(index.with_name(f"{index.name}.lock") for index in (new, paths.index))):
        files.remove(left)
    with suppress(FileNotFoundError):
        # A link is enough: git never writes to an existing index, it replaces the file.
        new.hardlink_to(paths.index)
    with project.git.with_batched_objects() as git:
        yield git
    failpoint("write.before_index")
    if new.exists():
        new.replace(paths.index)
        files.remove(new)


def take(repository: Git, project: Project, paths: WorktreePaths, head: str, *, own_files_only: bool) -> str:
    """Returns the tree of the files in the worktree, committed by the agent or not; raises UNCOMMITTABLE_FILES.

    Ignored files and files provided from the user's checkout are excluded.
    `repository` is what `writing` yields, `head` the commit that the worktree started from.
    With `own_files_only`, also excludes other worktrees of the project inside this one.
    """
    return worktree_content.tree(
        _work(repository, project, paths, head, own_files_only=own_files_only, strict=True)
    )


def _work(
    repository: Git, project: Project, paths: WorktreePaths, head: str, *, own_files_only: bool, strict: bool
) -> Work:
    if strict:
        special_files.check(paths.worktree)
    else:
        special_files.remove(paths.worktree)
    git = repository.at(paths.worktree, index=paths.next_index)
    if not paths.next_index.exists():
        git.text("read-tree", head)
    folder = checkouts.find(project, paths)
    return Work(
        project,
        git,
        head,
        agent_index=(folder or paths.worktree) / "index",
        roots=_roots(project, paths, folder),
        users=project.common,
        skipped=checkouts.repositories(project, paths) if own_files_only else (),
        options=tuple(_left_out(paths)),
        strict=strict,
    )


def _roots(project: Project, paths: WorktreePaths, folder: Path | None) -> tuple[Path, ...]:
    """Returns the folders below which repositories of the submodules may be; `folder` is the worktree's git folder."""
    # Earlier versions kept them in the registration.
    folders = {folder, checkouts.find_at(project, paths.worktree)}
    return (paths.worktree, project.common / "modules", *(each for each in folders if each))


def keep(project: Project, paths: WorktreePaths, head: str, attempt: AttemptName) -> Kept | None:
    """Keeps the content of the worktree, if it exists, and the agent's own commits under the attempt's ref.

    Returns None if the attempt changed nothing on top of `head`. Idempotent: a repeated
    call neither replaces the kept commit nor creates another one.
    """
    subject = f"What attempt {attempt.number} of {attempt.task} left"
    message = commit_messages.compose(subject, "", commit_messages.attempt_trailers(attempt))
    return _keep_under(refs.kept_ref(attempt), message, project, paths, head)


def keep_found(
    project: Project, paths: WorktreePaths, head: str, attempt: AttemptName, after: AttemptName | None
) -> Kept | None:
    """Keeps changes that no attempt made, before `attempt` begins, in the same way as `keep`.

    `after` is the last attempt that had ended when the changes were made, if known.
    """
    body = f"It existed before attempt {attempt.number} of {attempt.task} began; who made it is unknown."
    if after:
        body = (
            f"It was changed after attempt {after.number} of {after.task} had ended, so no attempt made it."
        )
    trailers = commit_messages.merge_trailers(paths.epic)
    message = commit_messages.compose(f"What was found in the worktree of {paths.epic.epic}", body, trailers)
    return _keep_under(refs.found_ref(attempt), message, project, paths, head)


def _keep_under(ref: str, message: str, project: Project, paths: WorktreePaths, head: str) -> Kept | None:
    git = project.git
    (kept,) = refs.read(git, ref)
    with _taken(project, paths, head) as (repository, tips, tree):
        if tips == [head] and tree == trees.of(git, head):
            return Kept(ref, kept) if kept else None
        parents = refs.independent(git, [kept, *tips]) if kept else tips
        if kept and parents == [kept] and tree == trees.of(git, kept):
            return Kept(ref, kept)
        commit = _commit(repository, project, parents, tree, message)
    own(project, head, commit)
    failpoint("keep.before_move")
    refs.update(git, [refs.RefUpdate(ref, commit, kept or refs.ABSENT)])
    failpoint("keep.after_move")
    return Kept(ref, commit)


def archive(project: Project, paths: WorktreePaths, head: str) -> None:
    """Keeps the changes in the worktree beyond `head`, if there are any, under the epic's archive ref.

    The commit's first parent is the worktree's HEAD, so the commit contains exactly the
    uncommitted changes. Its last parent is the previous archive, so no archive is lost.
    Idempotent.
    """
    git = project.git
    ref = refs.archive_ref(paths.epic)
    (earlier,) = refs.read(git, ref)
    with _taken(project, paths, head) as (repository, tips, tree):
        if tips == [head] and tree == trees.of(git, head):
            return
        if (
            earlier
            and tree == trees.of(git, earlier)
            and refs.independent(git, [earlier, *tips]) == [earlier]
        ):
            return
        trailers = commit_messages.merge_trailers(paths.epic)
        message = commit_messages.compose(f"Archive of the worktree of {paths.epic.epic}", "", trailers)
        parents = [*tips, earlier] if earlier else tips
        commit = _commit(repository, project, parents, tree, message)
    own(project, head, commit)
    failpoint("archive.before_move")
    refs.update(git, [refs.RefUpdate(ref, commit, earlier or refs.ABSENT)])
    failpoint("archive.after_move")


def check_out_changes(
    project: Project, paths: WorktreePaths, archived: str
) -> tuple[submodule_fill.Unfilled, ...]:
    """Checks out the files of `archived` in a clean worktree, as uncommitted changes.

    Returns the submodules that could not be filled.
    """
    index = paths.next_index
    for left in (index, index.with_name(f"{index.name}.lock")):
        files.remove(left)
    index.hardlink_to(paths.index)
    checkouts.run_with_unlock(
        project.git.at(paths.worktree, index=index), "read-tree", "--reset", "-u", archived
    )
    folder = checkouts.find(project, paths)
    unfilled = submodule_fill.fill(project, paths.worktree, index, folder) if folder else ()
    files.remove(index)
    return unfilled


def is_dirty(project: Project, paths: WorktreePaths, head: str) -> bool:
    """Returns whether `archive` would keep anything.

    Changes nothing, so it is safe while an agent is working.
    """
    git = project.git
    (branch,) = refs.read(git, refs.branch_ref(paths.epic.branch))
    own = agent_commits.names(project, paths)
    if any(commit not in {None, head} for commit in (branch, own.head, own.branch)) or own.stash:
        return True
    if not checkouts.exists(paths):
        return False
    special_files.check_unchanged(paths.worktree)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=git.git_dir) as scratch:
        index = Path(scratch, "index")
        # A link is enough: git never writes to an existing index, it replaces the file.
        index.hardlink_to(paths.index)
        # The agent may create a pipe at this moment.
        looking = replace(git.at(paths.worktree, index=index), seconds=_LOOKING_SECONDS)
        if worktree_content.untracked(looking, (), *_left_out(paths)):
            return True
        changed = looking.run(*_COMPARES)
        roots = _roots(project, paths, checkouts.find(project, paths))
        if not changed.code and worktree_content.is_changed_inside(project, looking, roots):
            return True
    if changed.code not in {0, 1}:
        raise failure(_COMPARES, changed)
    return bool(changed.code)


@contextmanager
def _taken(project: Project, paths: WorktreePaths, head: str) -> Iterator[tuple[Git, list[str], str]]:
    """Yields a git like `writing`, the fewest commits that reach all the worktree's commits, and its tree."""
    git = project.git
    (branch,) = refs.read(git, refs.branch_ref(paths.epic.branch))
    own = agent_commits.bring_in_all(project, paths)
    tips = refs.independent(git, [commit for commit in (own.head, own.branch, branch, head) if commit])
    # The stash comes last, although it often contains the others: the first parent must be the worktree's HEAD.
    tips += [own.stash] if own.stash else []
    exists = checkouts.exists(paths)
    with writing(project, paths) as repository:
        if exists:
            work = _work(repository, project, paths, head, own_files_only=False, strict=False)
            tree = worktree_content.tree(work)
            if work.closed:
                log.warning("files_not_readable", epic=str(paths.epic), paths=work.closed[:_MOST_LOGGED])
                files.write_atomically(paths.closed, "\n".join(work.closed))
        else:
            tree = trees.of(git, tips[0])
        yield repository, tips, tree


def _commit(repository: Git, project: Project, parents: Sequence[str], tree: str, message: str) -> str:
    named = [argument for parent in parents for argument in ("-p", parent)]
    author = repository.with_author(project.author())
    return author.text("commit-tree", *named, tree, stdin=message.encode())


def own(project: Project, older: str, newer: str) -> None:
    """Ensures that the project itself contains the objects that `newer` adds to `older`.

    git does not write an object that already exists in an alternate repository. An agent may
    have added such a repository, and the object could be removed from it later.
    """
    if (project.common / "objects" / "info" / "alternates").exists():
        pack = str(project.common / "objects" / "pack" / "pack")
        wanted = f"{newer}\n^{older}\n"
        project.git.text("pack-objects", "--quiet", "--revs", pack, stdin=wanted.encode())


def _left_out(paths: WorktreePaths) -> list[str]:
    """Returns the options that exclude what is never kept: screenshots and files from the checkout."""
    options = [f"--exclude=/{name}/" for name in checkouts.ARTIFACTS]
    if paths.exclude.exists():
        options.append(f"--exclude-from={paths.exclude}")
    return options
