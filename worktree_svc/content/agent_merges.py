"""Finds branches that an agent merged into its epic, and merges that it left unfinished.

An accepted task is one commit on top of the epic's last commit. If its agent merged
another branch of the project, that branch becomes a further parent of the commit.
Otherwise the next merge would bring in the same changes again and conflict with them.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from heddle import errors, pb
from heddle.files import beneath
from heddle.names import EpicName
from worktree_svc.content import checkouts
from worktree_svc.git import refs, trees
from worktree_svc.git.process.command import Git, decode, readable
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files
from worktree_svc.storage.worktree_store import WorktreePaths

# The most files in a message.
MOST_FILES: Final = 20

# The refs that an agent may have merged. For epics these are the accepted commits, because an epic's branch
# moves while its agent works.
_KNOWN: Final = ("refs/heads", "refs/remotes", "refs/tags", "refs/heddle/accepted")
_OF_EPICS: Final = re.compile(r"refs/heads/heddle/[^/]+/epics/")

# Reflog messages of HEAD after a whole branch was merged without a merge commit.
_TOOK_IN: Final = re.compile(r"(merge|pull)\b.*: Fast-forward|(rebase|pull)\b.*\(start\)")
# Reflog messages after the worktree's own git made a commit.
_MADE: Final = re.compile(
    r"(commit|cherry-pick|revert|am)\b|rebase( -i)? \((?!start|finish|abort)|(merge|pull)\b(?!.*(: Fast-forward|\())"
)
# Reflog messages of commands that bring in other changes, possibly with conflicts.
_BROUGHT: Final = re.compile(r"commit \((merge|cherry-pick)\)|merge|pull|cherry-pick|revert|rebase|am\b")
# The part at the end of the reflog that is read.
_MOST_LOG_BYTES: Final = 1 << 20

# The most bytes of a file in which conflict markers are looked for.
_MOST_MARKED_BYTES: Final = 64 << 20

# Files in the worktree's git folder, and the operation that each of them means.
_OPERATIONS: Final = (
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("sequencer", "cherry-pick"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
)

# The operations that would still make further commits.
_SEQUENCES: Final = ("rebase-merge", "rebase-apply", "sequencer")

_MARKED: Final = (re.compile(rb"^<{7} ", re.MULTILINE), re.compile(rb"^>{7} ", re.MULTILINE))
_BOTH_SIDES: Final = frozenset({"2", "3"})


class _Entry(NamedTuple):
    """One line of the reflog of HEAD."""

    new: str
    message: str


class MergedBranches(NamedTuple):
    """The minimal set of commits of other branches that contains everything that an agent merged."""

    commits: list[str]
    # True if a git command brought in other changes, so conflict markers may remain.
    brought_in: bool


def find(project: Project, repository: Git, paths: WorktreePaths, head: str, tree: str) -> MergedBranches:
    """Returns what the agent merged on top of `head`; `tree` contains its files, and `repository` can read it.

    A branch to which the agent only reset counts if `tree` contains all of its changes.
    """
    folder = checkouts.find(project, paths)
    tip = checkouts.head_commit(project, paths, folder) if folder else None
    if folder is None or tip is None:
        return MergedBranches([], brought_in=False)
    git, log = project.git, list(_log(folder))
    under_way = any((folder / sign).exists() for sign, _ in _OPERATIONS)
    brought_in = under_way or any(_BROUGHT.match(entry.message) for entry in log)
    merging = _merge_heads(git, folder)
    if tip == head and not merging:
        return MergedBranches([], brought_in)
    known = _known(project, paths.epic, refs.head_branch(folder))
    known -= {entry.new for entry in log if _MADE.match(entry.message)}
    took_in = {entry.new for entry in log if _TOOK_IN.match(entry.message)}
    met = [
        *_met(git, head, tip, known),
        *((commit, True) for commit in merging if _is_known(git, commit, known)),
    ]
    commits = [
        commit
        for commit, by_merge in dict(met).items()
        if not refs.is_ancestor(git, commit, head)
        and (by_merge or commit in took_in or _holds(repository, tree, head, commit))
    ]
    return MergedBranches(refs.independent(git, commits) if commits else [], brought_in)


def _known(project: Project, epic: EpicName, own: str | None) -> set[str]:
    """Returns the commits of the project's branches, except the epic's branch and the checked-out branch."""
    options = "--format=%(refname) %(objectname) %(*objectname)"
    skipped = {refs.accepted_ref(epic), own}
    found = set()
    for line in project.git.text("for-each-ref", options, *_KNOWN).splitlines():
        name, commit, *peeled = line.split(" ")
        if name not in skipped and not _OF_EPICS.match(name):
            found.add(next(filter(None, peeled), commit))
    return found


def _is_known(git: Git, commit: str, known: set[str]) -> bool:
    options = ("rev-list", "--max-count=1", "--ignore-missing", "--stdin")
    return bool(known) and not git.text(*options, stdin=_lines(commit, known))


def _met(git: Git, head: str, tip: str, known: set[str]) -> Iterator[tuple[str, bool]]:
    """Yields each commit at which the agent's commits join another branch, and whether by a merge commit."""
    if not known:
        return
    text = git.text("rev-list", "--parents", "--stdin", stdin=_lines(tip, {head, *known}))
    own = {commit: parents for commit, *parents in (line.split() for line in text.splitlines())}
    if not own:
        yield tip, False
    pairs = [
        (parent, len(parents) > 1) for parents in own.values() for parent in parents if parent not in own
    ]
    # A commit that was joined both ways counts as merged.
    yield from sorted(pairs, key=lambda pair: pair[1])


def _lines(wanted: str, without: Iterable[str]) -> bytes:
    return "".join([f"{wanted}\n", *(f"^{commit}\n" for commit in without)]).encode()


def _holds(repository: Git, tree: str, head: str, other: str) -> bool:
    """Returns whether the agent's files already contain all changes of `other`."""
    base = repository.run("merge-base", head, other)
    if base.code:
        return False
    left = repository.text("commit-tree", "-p", decode(base.stdout).strip(), tree, stdin=b"left\n")
    output = repository.run("merge-tree", "--write-tree", "--no-messages", left, other)
    return output.code == 0 and decode(output.stdout).strip() == tree


def _merge_heads(git: Git, folder: Path) -> list[str]:
    """Returns the commits in MERGE_HEAD, which lists the parents of an uncommitted merge."""
    try:
        lines = decode(beneath.read_file(folder / "MERGE_HEAD", _MOST_LOG_BYTES)).split()
    except OSError:
        return []
    found = (refs.resolve(git, line) for line in lines if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", line))
    return [commit for commit in found if commit]


def _log(folder: Path) -> Iterator[_Entry]:
    try:
        opened = beneath.open_file(folder, "logs/HEAD")
    except OSError:
        return
    with opened as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - _MOST_LOG_BYTES))
        for line in log.read(_MOST_LOG_BYTES).decode(errors="replace").splitlines():
            front, _, message = line.partition("\t")
            _, _, new = front.partition(" ")
            yield _Entry(new.partition(" ")[0], message)


def check_finished(project: Project, paths: WorktreePaths, folder: Path) -> None:
    """Raises MERGE_UNFINISHED if the agent's git is in the middle of a rebase, or has unresolved conflicts.

    `folder` is the worktree's git folder.
    """
    what = next((name for sign, name in _OPERATIONS if (folder / sign).exists()), "")
    if any((folder / sign).exists() for sign in _SEQUENCES):
        raise _unfinished(what, [])
    unmerged = _unmerged(project, paths, folder)
    undecided = [path for path, stages in unmerged.items() if _is_undecided(paths.worktree, path, stages)]
    if undecided:
        raise _unfinished(what, undecided)


def check_markers(git: Git, tree: str, parents: Iterable[str]) -> None:
    """Raises MARKERS_LEFT if a file of `tree` contains conflict markers that no parent contains."""
    words = ("--extended-regexp", "--all-match", "-e", "^<{7} ", "-e", "^>{7} ")
    found = set(trees.matching(git, tree, "-I", *words))
    for parent in parents if found else ():
        options = ("-r", "-z", "--name-only", "--no-renames", "--diff-filter=d")
        found &= set(git.items("diff-tree", *options, f"{parent}^{{tree}}", tree))
    if found:
        raise markers_left(sorted(found))


def markers_left(paths: list[str]) -> errors.HeddleError:
    """Returns the error for files that still contain conflict markers."""
    named = listed(paths)
    return errors.HeddleError(
        pb.ERROR_REASON_MARKERS_LEFT,
        f"conflict markers are left in {named}: resolve each region, and"
        " remove its lines <<<<<<<, ======= and >>>>>>>",
        files=named,
    )


def listed(paths: list[str]) -> str:
    """Returns the first paths as text for a message."""
    more = f" and {len(paths) - MOST_FILES} more" if len(paths) > MOST_FILES else ""
    return ", ".join(map(readable, paths[:MOST_FILES])) + more


def _unmerged(project: Project, paths: WorktreePaths, folder: Path) -> dict[str, set[str]]:
    """Returns the unmerged files of the agent's own index, with the stages of each file."""
    index = folder / "index"
    # In the service's index, nothing is ever unmerged.
    if index.is_symlink() or not index.is_file() or files.are_equal(index, paths.index):
        return {}
    output = project.git.at(paths.worktree, index=index).run("ls-files", "--unmerged", "-z")
    # The agent may have written anything to this file. If git cannot read the index, neither could the agent.
    stages: dict[str, set[str]] = {}
    for line in decode(output.stdout if not output.code else b"").split("\0")[:-1]:
        front, _, path = line.partition("\t")
        stages.setdefault(path, set()).add(front.rpartition(" ")[2])
    return stages


def _is_undecided(worktree: Path, path: str, stages: set[str]) -> bool:
    """Returns whether an unmerged file is unresolved: it contains markers, or its conflict has no markers."""
    if not stages >= _BOTH_SIDES:
        return True
    try:
        content = beneath.read(worktree, path, _MOST_MARKED_BYTES)
    except OSError:
        return True
    return trees.is_binary(content) or _is_marked(content)


def _is_marked(content: bytes) -> bool:
    return all(pattern.search(content) for pattern in _MARKED)


def _unfinished(what: str, paths: list[str]) -> errors.HeddleError:
    where = f"conflicts in {listed(paths)}" if paths else f"a {what} unfinished"
    ends = f" and finish (`git {what} --continue`), or cancel it (`git {what} --abort`)" if what else ""
    return errors.HeddleError(
        pb.ERROR_REASON_MERGE_UNFINISHED,
        f"the agent left {where}: resolve each file, `git add` it{ends}",
        files=listed(paths),
    )
