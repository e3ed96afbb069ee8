"""Which branches will conflict: every two of them, merged in memory.

Most pairs need no merge, as they change different files; the others are merged
by one git. What was found is kept by commit ids, so that after a commit only the
pairs of that branch are looked at.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath
from typing import Final, NamedTuple, TypeVar

from worktree_svc import projects, refs
from worktree_svc.git import Git, decode, readable
from worktree_svc.private import PrivateFolders

Key = TypeVar("Key")
Value = TypeVar("Value")

# What is remembered: more than a worker's runs have at the same time.
MOST_BRANCHES: Final = 2_000
MOST_PAIRS: Final = 50_000


@dataclass(frozen=True)
class Changes:
    """The paths that a branch has changed, and the folders in which it took some away or put some in."""

    paths: frozenset[str]
    left: frozenset[str] = frozenset()
    entered: frozenset[str] = frozenset()

    @classmethod
    def of(cls, statuses: Iterable[tuple[str, str]]) -> "Changes":
        """Returns the changes that git lists as pairs of a letter and a path."""
        pairs = list(statuses)
        return cls(
            paths=frozenset(path for _, path in pairs),
            left=frozenset(_folders(path for letter, path in pairs if letter == "D")),
            entered=frozenset(_folders(path for letter, path in pairs if letter == "A")),
        )

    def may_conflict(self, other: "Changes") -> bool:
        """Returns False only if no merge of the two can conflict.

        Beyond a common path, that is a file in the place of the other's folder,
        and a folder that one side moved away while the other put files into it.
        """
        return not (
            self.paths.isdisjoint(other.paths)
            and self.paths.isdisjoint(other.entered)
            and self.entered.isdisjoint(other.paths)
            and self.left.isdisjoint(other.entered)
            and self.entered.isdisjoint(other.left)
        )


class Branch(NamedTuple):
    """A branch that is there, and what it has changed since it left the base."""

    name: str
    commit: str
    changes: Changes


class Pair(NamedTuple):
    """Two branches that conflict; `other` is empty for the base."""

    name: str
    other: str
    files: list[str]


class Prediction(NamedTuple):
    """What the branches have changed, and which of them conflict."""

    branches: list[Branch]
    pairs: list[Pair]


class Radar:
    """Predicts conflicts, and remembers what it found."""

    def __init__(self, folders: PrivateFolders) -> None:
        self._folders = folders
        self._mutex = threading.Lock()
        # By base and branch.
        self._changes: dict[tuple[str, str], Changes] = {}
        # By the two commits: the files that conflict.
        self._merges: dict[tuple[str, str], list[str]] = {}

    def predict(self, path: str, names: Sequence[str], base: str) -> Prediction:
        """Returns what will conflict; raises UNKNOWN_REVISION if the base is not there."""
        project = projects.find(self._folders, path)
        onto = projects.resolve(project, base) if base else None
        if onto is None:
            raise projects.unknown_revision(project, base)
        git = project.git
        unique = list(dict.fromkeys(names))
        commits = refs.read(git, *(refs.branch_ref(name) for name in unique)) if unique else []
        branches = []
        for name, commit in zip(unique, commits, strict=True):
            if commit:
                changes = self._changes.get((onto, commit)) or _changes(git, onto, commit)
                self._remember(self._changes, {(onto, commit): changes}, MOST_BRANCHES)
                branches.append(Branch(name, commit, changes))
        pairs = _pairs(branches, onto)
        files = self._conflicts(git, [(one.commit, commit) for one, _, commit in pairs])
        found = (Pair(one.name, other, files[one.commit, commit]) for one, other, commit in pairs)
        return Prediction(branches, [pair for pair in found if pair.files])

    def _conflicts(self, git: Git, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        with self._mutex:
            found = {pair: self._merges[pair] for pair in wanted if pair in self._merges}
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in found]
        if missing:
            new = dict(zip(missing, _conflicts(git, missing), strict=True))
            self._remember(self._merges, new, MOST_PAIRS)
            found |= new
        return found

    def _remember(self, memory: dict[Key, Value], new: dict[Key, Value], most: int) -> None:
        """Adds to what is remembered; forgets the oldest beyond `most`."""
        with self._mutex:
            memory.update(new)
            while len(memory) > most:
                del memory[next(iter(memory))]


def _pairs(branches: Sequence[Branch], onto: str) -> list[tuple[Branch, str, str]]:
    """Returns what has to be merged: a branch, the other's name (empty for the base) and its commit."""
    pairs = [
        (one, other.name, other.commit)
        for one, other in combinations(branches, 2)
        if one.commit != other.commit and one.changes.may_conflict(other.changes)
    ]
    return pairs + [(one, "", onto) for one in branches if one.changes.paths]


def _changes(git: Git, onto: str, commit: str) -> Changes:
    fields = git.items("diff-tree", "-r", "-z", "--name-status", "--no-renames", "--merge-base", onto, commit)
    return Changes.of(zip(fields[::2], fields[1::2], strict=True))


def _conflicts(git: Git, pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Returns for each pair of commits the files that conflict, in order."""
    stdin = "".join(f"{one} {other}\n" for one, other in pairs)
    options = ("--write-tree", "--stdin", "--name-only", "--no-messages", "-z")
    with git.trying() as scratch:
        fields = iter(decode(scratch.raw("merge-tree", *options, stdin=stdin.encode())).split("\0")[:-1])
    found = []
    # Of each merge: 1 if it is clean, the tree, the files, an empty field.
    for clean in fields:
        next(fields)
        files = sorted({readable(path) for path in iter(lambda: next(fields), "")})
        found.append([] if clean == "1" else files)
    return found


def _folders(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in list(PurePosixPath(path).parents)[:-1]}
