"""The content of a worktree as a git tree, and that of its submodules as commits of theirs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from heddle import pb
from heddle.errors import HeddleError
from worktree_svc.content import additions, checkouts, skipped_files, submodules
from worktree_svc.content.additions import Refused
from worktree_svc.git import refs, trees
from worktree_svc.git.command import Git, Output, decode, failure
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files

_LISTS_CHANGES: Final = ("diff-files", "--name-status", "-z", "--ignore-submodules=dirty")
_LISTS_OTHERS: Final = ("ls-files", "--others", "--exclude-standard", "-z")

# No such file: to git, an index in which nothing is known.
NO_INDEX: Final = "heddle-no-index"

# How git says that it could not look into a folder, which it then takes for an empty one.
_CLOSED: Final = re.compile(r"^.*: Permission denied$", re.MULTILINE)

_INSIDE: Final = "Work in a submodule\n\nWhat was left uncommitted there, committed by Heddle.\n"


@dataclass(frozen=True)
class Work:
    """Files that are to become a tree: those of a worktree, or of a submodule in it."""

    project: Project
    # Over the files, with an index of the service's own and a place for new objects.
    git: Git
    # The commit from which the files came.
    head: str
    # The index of the agent's own git.
    agent_index: Path
    # Below which a submodule's repository may lie.
    roots: tuple[Path, ...]
    # The repository of the user's in which theirs of its submodules lie, below modules/.
    users: Path
    # The repository whose worktrees are left out where they are inside. None: no worktree is.
    skipped: Path | None = None
    # What git is told to leave out of new files.
    options: tuple[str, ...] = ()
    # False: what git refuses is taken as it is. True: it is an error, and nothing is taken.
    strict: bool = False
    # Whether the commits that `head` has of submodules are kept already: an agent's own are not.
    accepted: bool = True
    # Files of another user that cannot be read, where that is no error.
    closed: list[str] = field(default_factory=list)


def tree(work: Work) -> str:
    """Returns the tree of the files; raises UNCOMMITTABLE_FILES if the work is `strict`.

    The files of a repository that an agent made inside are files like others; a submodule
    is a submodule: what was committed inside is kept (see submodules.keep), and what was
    not is committed first.
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
    """Brings files into the index; returns those that git refuses, all of them if it does not end."""
    try:
        return additions.add(work.git, paths)
    except HeddleError as error:
        if work.strict or error.reason == pb.ERROR_REASON_DISK_FULL:
            raise
        if work.git.index:
            # Of the git that was ended.
            files.remove(work.git.index.with_name(f"{work.git.index.name}.lock"))
        return [Refused(path, error.message) for path in paths]


def untracked(git: Git, skipped: Path | None, *options: str) -> list[str]:
    """Returns the files that git does not know, those of repositories inside included.

    Worktrees of the repository at `skipped` are not.
    """
    return _untracked(git, skipped, options, [])


def is_changed_inside(project: Project, git: Git, roots: tuple[Path, ...]) -> bool:
    """Returns whether there is something in submodules that `tree` would take. Changes nothing."""
    for path, link in submodules.links(git).items():
        at = git.folder / path
        if not submodules.is_inside(git.folder, path) or not at.is_dir():
            continue
        inner = submodules.find(at, roots)
        if inner is None:
            if untracked(git.at(at, index=at / NO_INDEX), None):
                return True
            continue
        with submodules.opened(project, inner) as plain:
            if refs.head_of(plain, inner) != link:
                return True
            inside = plain.at(at, index=Path(plain.folder, "index"))
            inside.text("read-tree", link)
            # Fails where something differs, which the next one tells.
            inside.attempt("update-index", "-q", "--refresh")
            changed = inside.attempt(*_LISTS_CHANGES)
            if changed.code or changed.stdout or untracked(inside, None):
                return True
            if is_changed_inside(project, inside, roots):
                return True
    return False


def _list(work: Work) -> tuple[dict[str, str], list[str]]:
    """Returns how each tracked file has changed, as one letter, and the new files.

    A folder that an agent closed is opened; one that cannot be is an error, or noted in `closed`.
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


def _untracked(git: Git, skipped: Path | None, options: Sequence[str], said: list[str]) -> list[str]:
    output = git.attempt(*_LISTS_OTHERS, *options)
    if output.code:
        raise failure(_LISTS_OTHERS, output)
    said += _CLOSED.findall(output.stderr)
    found = []
    for path in decode(output.stdout).split("\0")[:-1]:
        folder = git.folder / path
        if not path.endswith("/"):
            found.append(path)
        elif skipped is None or not checkouts.belongs_to(folder, skipped):
            # A repository. git would commit it as a pointer to a commit that no one else has.
            inner = git.at(folder, index=folder / NO_INDEX)
            found += [path + name for name in _untracked(inner, skipped, (), said)]
    return found


def _is_special(path: Path) -> bool:
    """Returns whether `path` is something of which git keeps nothing: a pipe, a socket, a device."""
    return path.exists() and not (path.is_symlink() or path.is_file() or path.is_dir())


def _take_submodules(work: Work) -> set[str]:
    """Brings the index up to date with the submodules; returns the paths of those that are still some."""
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
    """Returns whether the files in a submodule's folder are the project's own by now; raises UNCOMMITTABLE_FILES.

    The folder is not a repository. Files of a submodule that is still one have no place in a commit.
    """
    at = work.git.folder / path
    if not untracked(work.git.at(at, index=at / NO_INDEX), work.skipped):
        return path not in names and path in submodules.names(work.git, work.head)
    if path in names and work.strict:
        why = (
            "is a submodule that is not filled, with files in it; fill it and commit inside, or take it out of"
            " .gitmodules if its files are to be the project's own"
        )
        raise additions.uncommittable([Refused(path, why)])
    return True


def _commit_inside(work: Work, path: str, name: str, link: str | None) -> str | None:
    """Returns the commit of a submodule, made if need be, and kept; None if there is no repository.

    One that cannot be kept is an error, or no repository if the work is not `strict`.
    """
    at = work.git.folder / path
    inner = submodules.find(at, work.roots)
    if inner is None:
        return None
    users = submodules.below(work.users, name)
    with submodules.opened(work.project, inner) as plain, plain.trying() as git:
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
    """Returns the commit of a submodule's tree: its HEAD, or a new one on top, the same for the same tree."""
    git, head = inside.git, inside.head
    if found == trees.of(git, head):
        return head
    time = git.text("rev-list", "--max-count=1", "--format=%ct", head).splitlines()[-1]
    name, email = (re.sub(r"[<>\n]", "", word) for word in inside.project.author())
    who = f"{name} <{email}> {time} +0000"
    text = f"tree {found}\nparent {head}\nauthor {who}\ncommitter {who}\n\n{_INSIDE}"
    return git.text("hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode(errors="replace"))
