"""Writes the content of a worktree as a git tree, and the content of its submodules as commits."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.errors import HeddleError
from worktree_svc.content import additions, checkouts, skipped_files, submodules
from worktree_svc.content.additions import Refused
from worktree_svc.git import refs, trees
from worktree_svc.git.process.command import Git, Output, decode, failure
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files

_LISTS_CHANGES: Final = ("diff-files", "--name-status", "-z", "--ignore-submodules=dirty")
_LISTS_OTHERS: Final = ("ls-files", "--others", "--exclude-standard", "-z")

# A file that does not exist, which git treats as an empty index.
NO_INDEX: Final = "heddle-no-index"

# git's warning for a folder that it cannot read; git then treats the folder as empty.
_CLOSED: Final = re.compile(r"^.*: Permission denied$", re.MULTILINE)

_INSIDE: Final = "Work in a submodule\n\nWhat was left uncommitted there, committed by Heddle.\n"


@dataclass(frozen=True)
class Work:
    """The files of a worktree, or of a submodule in it, to write as a tree."""

    project: Project
    # For the files, with an index and an object folder of the service.
    git: Git
    # The commit that the files started from.
    head: str
    # The index of the agent's own git.
    agent_index: Path
    # The folders below which a submodule's repository may be.
    roots: tuple[Path, ...]
    # The user's repository, which has the user's repositories of its submodules below modules/.
    users: Path
    # The repositories whose nested worktrees are excluded.
    skipped: Collection[Path] = ()
    # Options of git that exclude new files.
    options: tuple[str, ...] = ()
    # False: files that git refuses are added byte by byte. True: such files are an error.
    strict: bool = False
    # Whether the submodule commits in `head` are already kept. If the agent made `head`, they are not.
    accepted: bool = True
    # Collects unreadable files of another user, if they are not an error.
    closed: list[str] = field(default_factory=list)


def tree(work: Work) -> str:
    """Returns the tree of the files; raises UNCOMMITTABLE_FILES if the work is `strict`.

    Adds a repository that an agent created inside as plain files. A submodule stays a
    submodule: its uncommitted changes are committed first, and its commit is kept (see
    submodules.keep).
    """
    git = work.git
    modules = _take_submodules(work)
    changed, new = _list(work)
    gone = [
        path
        for path, how in changed.items()
        if path not in modules and (how == "D" or _is_special(git.folder / path))
    ]
    held = skipped_files.entries(git, work.agent_index, (path for path in gone if changed[path] == "D"))
    additions.add_entries(git, list(held.values()))
    additions.remove(git, [path for path in gone if path not in held])
    there = [path for path in changed if path not in {*gone, *modules}]
    refused = _add(work, [*there, *new])
    if refused and work.strict:
        raise additions.uncommittable(refused)
    work.closed.extend(additions.add_raw(git, [path for path, _ in refused]))
    return git.text("write-tree")


def _add(work: Work, paths: list[str]) -> list[Refused]:
    """Adds files to the index; returns the files that git refuses, or all files if git does not finish."""
    try:
        return additions.add(work.git, paths)
    except HeddleError as error:
        if work.strict or error.reason == pb.ERROR_REASON_DISK_FULL:
            raise
        if work.git.index:
            # The git process that was killed left this file.
            files.remove(work.git.index.with_name(f"{work.git.index.name}.lock"))
        return [Refused(path, error.message) for path in paths]


def untracked(git: Git, skipped: Collection[Path], *options: str) -> list[str]:
    """Returns the untracked files, including the files of nested repositories.

    Worktrees of the repositories in `skipped` are excluded.
    """
    return _untracked(git, skipped, options, [])


def is_changed_inside(project: Project, git: Git, roots: tuple[Path, ...]) -> bool:
    """Returns whether submodules contain changes that `tree` would include. Changes nothing."""
    for path, link in submodules.links(git).items():
        at = git.folder / path
        if not submodules.is_inside(git.folder, path) or not at.is_dir():
            continue
        inner = submodules.find(at, roots)
        if inner is None:
            if untracked(git.at(at, index=at / NO_INDEX), ()):
                return True
            continue
        with submodules.opened(project, inner) as plain:
            if refs.head_of(plain, inner) != link:
                return True
            inside = plain.at(at, index=Path(plain.folder, "index"))
            inside.text("read-tree", link)
            # Fails if something differs, which the next command reports.
            inside.run("update-index", "-q", "--refresh")
            changed = inside.run(*_LISTS_CHANGES)
            if changed.code or changed.stdout or untracked(inside, ()):
                return True
            if is_changed_inside(project, inside, roots):
                return True
    return False


def _list(work: Work) -> tuple[dict[str, str], list[str]]:
    """Returns the status letter of each changed tracked file, and the new files.

    Restores the permissions of unreadable folders. A failure is an error, or is recorded in `closed`.
    """
    changed, new, complaints = _look(work)
    if complaints:
        closed = files.unlock(work.git.folder)
        if closed and work.strict:
            raise additions.unreadable(closed)
        work.closed.extend(map(str, closed))
        changed, new, _ = _look(work)
    return changed, new


def _look(work: Work) -> tuple[dict[str, str], list[str], list[str]]:
    git = work.git
    said: list[str] = []
    with git.running(*_LISTS_CHANGES) as changed:
        new = _untracked(git, work.skipped, work.options, said)
        output = changed()
    return _listed(output), new, [*said, *_CLOSED.findall(output.stderr)]


def _listed(changed: Output) -> dict[str, str]:
    if changed.code:
        raise failure(_LISTS_CHANGES, changed)
    fields = decode(changed.stdout).split("\0")[:-1]
    return dict(zip(fields[1::2], fields[::2], strict=True))


def _untracked(git: Git, skipped: Collection[Path], options: Sequence[str], said: list[str]) -> list[str]:
    output = git.run(*_LISTS_OTHERS, *options)
    if output.code:
        raise failure(_LISTS_OTHERS, output)
    said += _CLOSED.findall(output.stderr)
    found = []
    for path in decode(output.stdout).split("\0")[:-1]:
        folder = git.folder / path
        if not path.endswith("/"):
            found.append(path)
        elif not checkouts.belongs_to(folder, skipped):
            # A repository. git would commit it as a link to a commit that exists nowhere else.
            inner = git.at(folder, index=folder / NO_INDEX)
            found += [path + name for name in _untracked(inner, skipped, (), said)]
    return found


def _is_special(path: Path) -> bool:
    """Returns whether `path` is a pipe, a socket or a device, which git cannot store."""
    return path.exists() and not (path.is_symlink() or path.is_file() or path.is_dir())


def _take_submodules(work: Work) -> set[str]:
    """Updates the index entries of submodules; returns the paths that are still submodules."""
    git = work.git
    links, names = submodules.links(git), submodules.names(git)
    if not links and not names:
        return set()
    taken: dict[str, str] = {}
    empty: set[str] = set()
    dropped: list[str] = []
    for path in sorted({*links, *names}):
        if not submodules.is_inside(git.folder, path):
            continue
        commit = _commit_inside(work, path, names.get(path, ""), links.get(path))
        if commit:
            taken[path] = commit
        elif path in links and (git.folder / path).is_dir():
            if _is_vendored(work, path, names):
                dropped.append(path)
            else:
                empty.add(path)
    additions.remove(git, dropped)
    moved = [path for path, commit in taken.items() if links.get(path) != commit]
    additions.add_entries(git, [f"160000 {taken[path]}\t{path}" for path in moved])
    return {*taken, *empty}


def _is_vendored(work: Work, path: str, names: dict[str, str]) -> bool:
    """Returns whether the files in a submodule's folder now belong to the project; raises UNCOMMITTABLE_FILES.

    The folder is not a repository. Files in a folder that is still a submodule cannot be committed.
    """
    at = work.git.folder / path
    if not untracked(work.git.at(at, index=at / NO_INDEX), work.skipped):
        return path not in names and path in submodules.names(work.git, work.head)
    if path in names and work.strict:
        why = (
            "is a submodule without a repository, but with files in it; fetch it and commit inside, or remove it from"
            " .gitmodules if its files belong to the project"
        )
        raise additions.uncommittable([Refused(path, why)])
    return True


def _commit_inside(work: Work, path: str, name: str, link: str | None) -> str | None:
    """Returns the kept commit of a submodule, committing its changes first; None if there is no repository.

    If the commit cannot be kept, raises an error if the work is `strict`; otherwise returns None.
    """
    at = work.git.folder / path
    inner = submodules.find(at, work.roots)
    if inner is None:
        return None
    users = submodules.below(work.users, name)
    with submodules.opened(work.project, inner) as plain, plain.with_temporary_objects() as git:
        head = refs.head_of(plain, inner)
        if head is None:
            return None
        try:
            inside = replace(
                work,
                git=git.at(at, index=Path(plain.folder, "index")),
                head=head,
                agent_index=inner / "index",
                users=users,
                options=(),
                accepted=work.accepted and head == link,
            )
            inside.git.text("read-tree", head)
            commit = _commit(inside, tree(inside))
            if commit != link or not work.accepted:
                submodules.keep(work.project, users, commit, git.objects or inner / "objects")
        except HeddleError as error:
            if not work.strict or error.reason == additions.REASON:
                if work.strict:
                    raise
                return None
            raise additions.uncommittable(
                [Refused(path, f"the submodule cannot be kept: {error}")]
            ) from error
    return commit


def _commit(inside: Work, found: str) -> str:
    """Returns a commit of the submodule's tree: its HEAD, or a new child, always the same for a given tree."""
    git, head = inside.git, inside.head
    if found == trees.of(git, head):
        return head
    time = git.text("rev-list", "--max-count=1", "--format=%ct", head).splitlines()[-1]
    name, email = (re.sub(r"[<>\n]", "", word) for word in inside.project.author())
    who = f"{name} <{email}> {time} +0000"
    text = f"tree {found}\nparent {head}\nauthor {who}\ncommitter {who}\n\n{_INSIDE}"
    return git.text("hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode(errors="replace"))
