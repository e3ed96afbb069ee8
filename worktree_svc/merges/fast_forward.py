"""Detects fast-forwards, where the target is an ancestor of the source, without a git process for the merge."""

import re
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Final, NamedTuple

from worktree_svc.git.process.command import Git

# The beginning of a commit object; nothing after the committer is needed.
_HEAD: Final = re.compile(
    rb"tree (?P<tree>[0-9a-f]+)\n(?:parent (?P<parent>[0-9a-f]+)\n)?(?:parent [0-9a-f]+\n)*"
    rb"author [^\n]*\ncommitter [^\n]* (?P<seconds>-?\d+) [+-]\d+\n"
)

# More commits than an epic usually has. For longer histories, git decides.
MOST_STEPS: Final = 50


class _Commit(NamedTuple):
    id: str
    tree: str
    # The first parent. Empty: the commit has none.
    parent: str
    # The committer's time, in seconds since 1970.
    seconds: int


def tree_of(git: Git, source: str, onto: str) -> str | None:
    """Returns the tree of `source` if its merge into `onto` is a fast-forward.

    Returns None unless `onto` is among the first MOST_STEPS first-parent ancestors of `source`.
    """
    end = _read(git, onto)
    if end is None:
        return None
    # A commit older than `onto` is not its descendant, unless a clock was wrong.
    steps = takewhile(lambda commit: commit.seconds >= end.seconds, _first_parents(git, source))
    tree = ""
    for commit in islice(steps, MOST_STEPS):
        tree = tree or commit.tree
        if commit.id == onto:
            return tree
    return None


def _first_parents(git: Git, commit: str) -> Iterator[_Commit]:
    """Yields the commit and its first-parent ancestors, up to the first that is not in the repository."""
    step = _read(git, commit)
    while step:
        yield step
        step = _read(git, step.parent) if step.parent else None


def _read(git: Git, commit: str) -> _Commit | None:
    head = _HEAD.match(git.content(commit) or b"")
    if head is None:
        return None
    return _Commit(commit, head["tree"].decode(), (head["parent"] or b"").decode(), int(head["seconds"]))
