"""PredictConflicts: merges all pairs of branches in memory, and each branch with its base and upstream.

Most pairs change different files and need no merge. One git process merges the others.
Results are cached by commit ID, so after a commit only the pairs of that branch are
merged again.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final, Generic, NamedTuple, TypeVar

from worktree_svc.git import refs, trees
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import Git, decode
from worktree_svc.merges import fast_forward
from worktree_svc.projects import repository
from worktree_svc.projects.repository import Project

Key = TypeVar("Key")
Value = TypeVar("Value")

# The number of forecasts after which results that none of them used are forgotten: those of runs that have ended.
FORECASTS: Final = 100


@dataclass(frozen=True)
class Changes:
    """The paths that a branch has changed, and the folders where it removed or added files."""

    paths: frozenset[str]
    removed_from: frozenset[str] = frozenset()
    added_to: frozenset[str] = frozenset()

    @classmethod
    def of(cls, statuses: Iterable[tuple[str, str]]) -> "Changes":
        """Returns the changes from git's list, which consists of pairs of a letter and a path."""
        pairs = list(statuses)
        return cls(
            paths=frozenset(path for _, path in pairs),
            removed_from=frozenset(_folders(path for letter, path in pairs if letter == "D")),
            added_to=frozenset(_folders(path for letter, path in pairs if letter == "A")),
        )

    def may_conflict(self, other: "Changes") -> bool:
        """Returns False only if the two branches cannot conflict.

        Apart from a common path, there are two causes of conflicts: a file with the name of a
        folder on the other side, and a folder that one side moved while the other added files.
        """
        return not (
            self.paths.isdisjoint(other.paths)
            and self.paths.isdisjoint(other.added_to)
            and self.added_to.isdisjoint(other.paths)
            and self.removed_from.isdisjoint(other.added_to)
            and self.added_to.isdisjoint(other.removed_from)
        )


class ForecastRequest(NamedTuple):
    """The branches to compare, and the further revisions to merge each of them with.

    `starts` contains the commit at which each branch started; a branch without an entry
    started at the base. An upstream that does not exist is ignored. `commits` contains the branches that other
    workers move, with their commits.
    """

    names: Sequence[str]
    base: str
    starts: Mapping[str, str]
    upstream: str = ""
    commits: Mapping[str, str] = MappingProxyType({})


class Branch(NamedTuple):
    """An existing branch, and its changes since its start."""

    name: str
    commit: str
    changes: Changes


class Pair(NamedTuple):
    """Two branches that conflict; `other` is empty for the base and the upstream."""

    name: str
    other: str
    files: list[str]
    with_upstream: bool = False


class Prediction(NamedTuple):
    """The changes of all branches, and the pairs that conflict."""

    branches: list[Branch]
    pairs: list[Pair]
    upstream_commit: str


class _Side(NamedTuple):
    """The other side of a merge; `name` is empty unless it is another branch."""

    name: str
    commit: str
    upstream: bool = False


class RecentResults(Generic[Key, Value]):
    """A cache that forgets what was not used for a while. Safe to use from threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._now: dict[Key, Value] = {}
        self._before: dict[Key, Value] = {}
        self._forecasts = 0

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def get(self, key: Key) -> Value | None:
        """Returns a value; None if it is not known."""
        with self._mutex:
            if key in self._before:
                self._now[key] = self._before.pop(key)
            return self._now.get(key)

    def add(self, new: Mapping[Key, Value]) -> None:
        """Adds values."""
        with self._mutex:
            self._now.update(new)

    def end_forecast(self) -> None:
        """Forgets the values that the last FORECASTS forecasts, or up to twice as many, did not use."""
        with self._mutex:
            self._forecasts += 1
            if self._forecasts >= FORECASTS:
                self._before, self._now, self._forecasts = self._now, {}, 0


class ConflictForecaster:
    """Predicts conflicts, and caches the results. Safe to use from threads."""

    def __init__(self, folders: PrivateFolders) -> None:
        self._folders = folders
        # By start and commit.
        self._changes = RecentResults[tuple[str, str], Changes]()
        # The files that conflict, by the two commits.
        self._merges = RecentResults[tuple[str, str], list[str]]()

    def predict(self, path: str, request: ForecastRequest) -> Prediction:
        """Predicts which branches conflict; raises UNKNOWN_REVISION if the base or a start does not exist."""
        project = repository.find(self._folders, path)
        onto = repository.existing(project, request.base)
        upstream = repository.resolve(project, request.upstream) if request.upstream else None
        git = project.git
        unique = list(dict.fromkeys(request.names))
        commits = refs.read(git, *(refs.branch_ref(name) for name in unique)) if unique else []
        branches = []
        for name, here in zip(unique, commits, strict=True):
            if commit := request.commits.get(name) or here:
                start = request.starts.get(name) or onto
                branches.append(Branch(name, commit, self._changes_of(project, start, commit)))
        bases = [_Side("", onto), *([_Side("", upstream, upstream=True)] if upstream else [])]
        pairs = _pairs(branches, bases)
        files = self._conflicts(git, [(one.commit, side.commit) for one, side in pairs])
        found = (
            Pair(one.name, side.name, files[one.commit, side.commit], side.upstream) for one, side in pairs
        )
        self._changes.end_forecast()
        self._merges.end_forecast()
        return Prediction(branches, [pair for pair in found if pair.files], upstream or "")

    def _changes_of(self, project: Project, start: str, commit: str) -> Changes:
        changes = self._changes.get((start, commit))
        if changes is None:
            changes = _changes(project.git, repository.existing(project, start), commit)
            self._changes.add({(start, commit): changes})
        return changes

    def _conflicts(self, git: Git, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        known = {pair: self._merges.get(pair) for pair in wanted}
        missing = [pair for pair, files in known.items() if files is None]
        new = dict(zip(missing, _conflicts(git, missing), strict=True)) if missing else {}
        self._merges.add(new)
        return {pair: files for pair, files in known.items() if files is not None} | new


def _pairs(branches: Sequence[Branch], bases: Sequence[_Side]) -> list[tuple[Branch, _Side]]:
    """Returns the pairs that have to be merged."""
    pairs = [
        (one, _Side(other.name, other.commit))
        for one, other in combinations(branches, 2)
        if one.commit != other.commit and one.changes.may_conflict(other.changes)
    ]
    return pairs + [(one, base) for base in bases for one in branches if one.changes.paths]


def _changes(git: Git, onto: str, commit: str) -> Changes:
    if fast_forward.tree_of(git, commit, onto):
        # Then the merge base is `onto`, and a git process that waits for questions can compare the two.
        with trees.compared(git, onto, commit, "-z", "--name-status", "--no-renames") as pieces:
            fields = decode(b"".join(pieces)).split("\0")[:-1]
        return Changes.of(zip(fields[::2], fields[1::2], strict=True))
    fields = git.items("diff-tree", "-r", "-z", "--name-status", "--no-renames", "--merge-base", onto, commit)
    return Changes.of(zip(fields[::2], fields[1::2], strict=True))


def _conflicts(git: Git, pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Returns the conflicting files of each pair of commits, in the order of the pairs."""
    return [[] if one.clean else one.files for one in trees.merged(git, pairs, temporary=True)]


def _folders(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in list(PurePosixPath(path).parents)[:-1]}
