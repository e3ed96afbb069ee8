"""Checks out a conflicted merge for an attempt to resolve, and checks the resolution before the commit.

If both sides changed the same lines, the file contains conflict markers, and the attempt must remove all of
them. Other conflicts have no markers: one side removed what the other changed, both sides changed a binary
file, a link or a submodule, or renamed a file, or replaced a folder with a file. git then checks out one side.
Such a conflict counts as resolved once one of its paths has changed or is listed in .heddle/keep. A file name
that the merge generated (NAME~COMMIT) must never remain.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from heddle import errors, pb
from heddle.files import beneath
from worktree_svc.content import agent_merges, checkouts
from worktree_svc.git import refs, trees
from worktree_svc.git.process.command import Git, decode, encode, failure, readable
from worktree_svc.projects import branch_records, repository
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files
from worktree_svc.storage.worktree_store import WorktreePaths

# In the folder of a worktree that is never committed: the open conflicts of a merge, and the paths to keep as
# they are.
CONFLICTS: Final = Path(checkouts.ARTIFACTS[0], "conflicts.txt")
KEEP: Final = Path(checkouts.ARTIFACTS[0], "keep")

_MOST_KEEP_BYTES: Final = 1 << 20

# The most paths in one call of git.
_AT_ONCE: Final = 500


class Unmarked(NamedTuple):
    """A conflict without markers: its paths, and git's message about it."""

    paths: tuple[str, ...]
    text: str


class CheckedOutMerge(NamedTuple):
    """The result of a merge: its tree, and its conflicts without markers."""

    tree: str
    unmarked: list[Unmarked]


def check_out(project: Project, paths: WorktreePaths, head: str, merge: str, resolution: str) -> str:
    """Checks out a merge for an attempt in the worktree, which is at `head`; returns the commit that is merged.

    `merge` is a revision that an agent merges, `resolution` the commit of a person who has merged one. Empty if both are.
    """
    if resolution:
        return check_out_resolution(project, paths, head, resolution)
    return check_out_merge(project, paths, head, merge) if merge else ""


def check_out_merge(project: Project, paths: WorktreePaths, head: str, revision: str) -> str:
    """Checks out the merge of `revision` into `head` in the worktree, which is at `head`.

    Returns the commit of the revision; empty if `head` already contains it.
    """
    ours = branch_records.record_of(revision)
    other = branch_records.commit_of(project, revision) if ours else repository.resolve(project, revision)
    if other is None:
        raise repository.unknown_revision(project, revision)
    if refs.is_ancestor(project.git, other, head):
        return ""
    checked_out = _merge(project.git, head, other)
    # Writes only the service's own index, so the agent's git shows everything as an uncommitted change.
    checkouts.run_with_unlock(
        project.git.at(paths.worktree, index=paths.index), "read-tree", "--reset", "-u", checked_out.tree
    )
    if checked_out.unmarked:
        _write(paths, CONFLICTS, "".join(_note(checked_out.unmarked, head, other)))
    return other


def check_out_resolution(project: Project, paths: WorktreePaths, head: str, resolution: str) -> str:
    """Checks out a person's resolution in the worktree, which is at `head`.

    Returns the commit that it merges into `head`. Raises CONFLICT_MOVED if it was made for another commit.
    """
    _, ours, other = project.git.text("rev-list", "--max-count=1", "--parents", resolution).split(" ")
    if ours != head:
        raise errors.HeddleError(
            pb.ERROR_REASON_CONFLICT_MOVED,
            f"{paths.epic.branch} has moved from {ours[:10]} to {head[:10]} since its conflict was resolved by hand:"
            " resolve it again",
            branch=paths.epic.branch,
            commit=head,
        )
    checkouts.run_with_unlock(
        project.git.at(paths.worktree, index=paths.index), "read-tree", "--reset", "-u", resolution
    )
    # The person has decided every conflict, also those whose files are as git had written them.
    unmarked = _merge(project.git, head, other).unmarked
    _write(paths, KEEP, "".join(f"{path}\n" for conflict in unmarked for path in conflict.paths))
    return other


def _write(paths: WorktreePaths, name: Path, text: str) -> None:
    """Writes a file of the folder that is never committed."""
    path = paths.worktree / name
    if path.parent.is_symlink() or not path.parent.is_dir():
        files.remove(path.parent)
    files.remove(path)
    beneath.create(paths.worktree, name, encode(text))


def check(git: Git, paths: WorktreePaths, tree: str, head: str, other: str) -> None:
    """Raises MARKERS_LEFT or CONFLICT_UNDECIDED if `tree` does not resolve the merge of `other` into `head` completely.

    Only markers that name both commits count, so files may contain other text that looks like markers.
    """
    marked = _marked(git, tree, head, other)
    if marked:
        raise agent_merges.markers_left(marked)
    checked_out = _merge(git, head, other)
    made_up = [
        path
        for path in git.items("ls-tree", "-r", "-z", "--name-only", tree)
        if _is_made_up(path, head, other)
    ]
    undecided = _undecided(git, checked_out, tree, _kept(paths))
    open_paths = list(dict.fromkeys([*made_up, *undecided]))
    if open_paths:
        named = agent_merges.listed(open_paths)
        raise errors.HeddleError(
            pb.ERROR_REASON_CONFLICT_UNDECIDED,
            f"the conflict in {named} was not resolved: change, move or remove it, or write its path as a line into {KEEP}"
            f" to keep it as it was checked out; a file NAME~COMMIT must be renamed or removed. {CONFLICTS} says what"
            " both sides did",
            files=named,
        )


def _merge(git: Git, head: str, other: str) -> CheckedOutMerge:
    arguments = ("merge-tree", "--write-tree", "--messages", "-z", head, other)
    output = git.run(*arguments)
    if output.code not in {0, 1}:
        raise failure(arguments, output)
    fields = iter(decode(output.stdout).split("\0")[:-1])
    tree = next(fields)
    for _ in iter(lambda: next(fields, ""), ""):  # the stages of each file, which the messages also name
        pass
    found: dict[tuple[str, ...], list[str]] = {}
    for count in fields:
        paths = tuple(next(fields) for _ in range(int(count)))
        kind, text = next(fields), next(fields)
        if kind.startswith("CONFLICT"):
            found.setdefault(paths, []).append(text.strip().split("\n\n")[0])
    if not found:
        return CheckedOutMerge(tree, [])
    marked = set(_marked(git, tree, head, other))
    unmarked = [
        Unmarked(paths, "\n".join(texts)) for paths, texts in found.items() if marked.isdisjoint(paths)
    ]
    return CheckedOutMerge(tree, unmarked)


def _undecided(git: Git, checked_out: CheckedOutMerge, tree: str, kept: set[str]) -> Iterator[str]:
    """Yields the paths of each conflict that has no changed path and no path in .heddle/keep."""
    paths = sorted({path for conflict in checked_out.unmarked for path in conflict.paths})
    before, after = _entries(git, checked_out.tree, paths), _entries(git, tree, paths)
    for conflict in checked_out.unmarked:
        same = all(before.get(path) == after.get(path) for path in conflict.paths)
        if same and kept.isdisjoint(conflict.paths):
            yield from (path for path in conflict.paths if path in before)


def _entries(git: Git, tree: str, paths: Sequence[str]) -> dict[str, str]:
    """Returns mode and object of the paths that exist in a tree."""
    found: dict[str, str] = {}
    for some in _some_at_once(paths):
        for line in git.items("ls-tree", "-z", tree, "--", *some):
            entry, _, path = line.partition("\t")
            found[path] = entry
    return found


def _some_at_once(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for target_start in range(0, len(paths), _AT_ONCE):
        yield paths[target_start : target_start + _AT_ONCE]


def _marked(git: Git, tree: str, head: str, other: str) -> list[str]:
    """Returns the files of a tree that contain a marker of the merge of `other` into `head`."""
    words = ("-e", f"<<<<<<< {head}", "-e", f">>>>>>> {other}")
    return trees.matching(git, tree, "--text", "--fixed-strings", *words)


def _is_made_up(path: str, *commits: str) -> bool:
    return any(f"~{commit}" in path for commit in commits)


def _kept(paths: WorktreePaths) -> set[str]:
    """Returns the paths that the agent lists in .heddle/keep; empty if that is not a regular file."""
    try:
        text = decode(beneath.read(paths.worktree, KEEP, _MOST_KEEP_BYTES))
    except OSError:
        return set()
    return {line.strip().removeprefix("./") for line in text.splitlines()}


def _note(unmarked: Iterable[Unmarked], head: str, other: str) -> Iterator[str]:
    yield "Conflicts without markers. Change, move or remove one of the files of each, or write its path as a line\n"
    yield f"into {KEEP} to keep it as it is here. No file NAME~COMMIT may be left.\n"
    yield f"{head} is this branch, {other} is merged into it.\n"
    for paths, text in unmarked:
        yield f"\n{', '.join(map(readable, paths))}\n"
        yield from (f"    {line}\n" for line in readable(text).splitlines())
