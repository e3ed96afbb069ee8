"""Merges that git need not be asked for: into a target that has nothing which the source does not build on."""

import re
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Final, NamedTuple

from worktree_svc.git.command import Git

# How a commit begins, as git writes it; what follows the committer is left.
_HEAD: Final = re.compile(
    rb"tree (?P<tree>[0-9a-f]+)\n(?:parent (?P<parent>[0-9a-f]+)\n)?(?:parent [0-9a-f]+\n)*"
    rb"author [^\n]*\ncommitter [^\n]* (?P<seconds>-?\d+) [+-]\d+\n"
)

# More commits than an epic usually has; of more, git is asked.
MOST_STEPS: Final = 50


class _Commit(NamedTuple):
    id: str
    tree: str
    # The first one; empty: it has none.
    parent: str
    # Since 1970.
    seconds: int


def tree_of(git: Git, source: str, onto: str) -> str | None:
    """Returns what a merge of `source` into `onto` gives if that is a fast-forward: the tree of `source`.

    None unless a few steps from first parent to first parent lead from `source` to `onto`.
    """
    end = _read(git, onto)
    if end is None:
        return None
    # What is older than `onto` does not build on it, unless a clock was wrong.
    steps = takewhile(lambda commit: commit.seconds >= end.seconds, _first_parents(git, source))
    tree = ""
    for commit in islice(steps, MOST_STEPS):
        tree = tree or commit.tree
        if commit.id == onto:
            return tree
    return None


def _first_parents(git: Git, commit: str) -> Iterator[_Commit]:
    """Yields the commit, its first parent, that one's, and so on, as far as they are in the repository."""
    step = _read(git, commit)
    while step:
        yield step
        step = _read(git, step.parent) if step.parent else None


def _read(git: Git, commit: str) -> _Commit | None:
    head = _HEAD.match(git.content(commit) or b"")
    if head is None:
        return None
    return _Commit(commit, head["tree"].decode(), (head["parent"] or b"").decode(), int(head["seconds"]))
