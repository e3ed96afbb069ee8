"""Compares and merges the trees of commits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from heddle import errors, pb
from worktree_svc.git.process.command import Git, Output, decode, failure, readable

_MERGES: Final = ("merge-tree", "--write-tree", "--stdin", "--name-only", "--no-messages", "-z")
_OPTIONS: Final = ("-r", "--no-ext-diff", "--no-textconv")


class TreeMerge(NamedTuple):
    """The tree of two merged commits; conflicting files contain conflict markers."""

    clean: bool
    tree: str
    # Sorted, readable.
    files: list[str]


def of(git: Git, commit: str) -> str:
    """Returns the id of a commit's tree; raises GIT_FAILED if the commit does not exist."""
    tree = git.object_id(f"{commit}^{{tree}}")
    if tree is None:
        raise failure(("rev-parse", commit), Output(1, b"", f"{commit} is not there"))
    return tree


def is_binary(content: bytes) -> bool:
    """Returns whether git compares a file with this content, or beginning, as binary."""
    return b"\0" in content[:8000]


def matching(git: Git, tree: str, *options: str) -> list[str]:
    """Returns the paths of the files of a tree in which `git grep` with these options finds something."""
    arguments = ("grep", "--files-with-matches", "-z", *options, tree)
    output = git.run(*arguments)
    if output.code not in {0, 1}:
        raise failure(arguments, output)
    return [name.partition(":")[2] for name in decode(output.stdout).split("\0")[:-1]]


@contextmanager
def compared(git: Git, older: str, newer: str, *options: str) -> Iterator[Iterator[bytes]]:
    """Yields the output of `git diff-tree` for two commits, in the format set by `options`.

    Raises GIT_FAILED.
    """
    with git.diff_tree(of(git, older), of(git, newer), *_OPTIONS, *options) as pieces:
        yield pieces


@contextmanager
def merging(
    git: Git, one: str, other: str, *, temporary: bool
) -> Iterator[Callable[[], tuple[TreeMerge, str]]]:
    """Merges two commits in parallel with the block.

    Yields a function that returns the merge and the tree of `one`.

    `temporary`: see `merged`.
    """

    def finish() -> tuple[TreeMerge, str]:
        # Merging a commit into itself gives its own tree without another git process.
        merge, itself = _merges(output())
        return merge, itself.tree

    with git.running_spare(*_MERGES, stdin=_lines([(one, other), (one, one)]), temporary=temporary) as output:
        yield finish


def merged(git: Git, pairs: Sequence[tuple[str, str]], *, temporary: bool) -> list[TreeMerge]:
    """Merges pairs of commits with one git process and returns the merges.

    If `temporary`, does not keep their trees.
    """
    return _merges(git.run_spare(*_MERGES, stdin=_lines(pairs), temporary=temporary))


def _lines(pairs: Sequence[tuple[str, str]]) -> bytes:
    return "".join(f"{one} {other}\n" for one, other in pairs).encode()


def _merges(output: Output) -> list[TreeMerge]:
    if output.code:
        if "unrelated histories" in output.stderr:
            raise errors.HeddleError(
                pb.ERROR_REASON_GIT_FAILED,
                "the two branches have no commit in common (unrelated histories), for example because one was created"
                " or pushed from scratch, so they cannot be merged. Join them once yourself, then try again:"
                " git merge --allow-unrelated-histories BRANCH. Both are kept.",
                command="git merge-tree",
            )
        raise failure(_MERGES, output)
    fields = iter(decode(output.stdout).split("\0")[:-1])
    # For each merge, git prints 1 if it is clean, the tree, the files and an empty field.
    return [
        TreeMerge(
            clean == "1", next(fields), sorted({readable(path) for path in iter(lambda: next(fields), "")})
        )
        for clean in fields
    ]
