"""Diffs as text, in pieces that fit a message."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from heddle import errors, pb
from worktree_svc.git import trees
from worktree_svc.projects import repository
from worktree_svc.projects.repository import Project

DEFAULT_MAX_BYTES: Final = 1 << 20

# Small enough that the whole message stays below 256 KiB.
PIECE_BYTES: Final = 250 << 10


class Piece(NamedTuple):
    """Some lines of a diff; `truncated` is true on the last piece if the diff is longer."""

    text: str
    truncated: bool


def diff(
    project: Project, older: str, newer: str, *, from_merge_base: bool, max_bytes: int
) -> Iterator[Piece]:
    """Yields the diff between two revisions in one or more pieces; raises UNKNOWN_REVISION."""
    if max_bytes < 0:
        raise errors.invalid_field("max_bytes", "takes a number of bytes; leave it out for 1 MiB")
    commits = [repository.existing(project, revision) for revision in (older, newer)]
    if from_merge_base:
        base = project.git.run("merge-base", *commits)
        if base.code:
            raise errors.HeddleError(
                pb.ERROR_REASON_UNKNOWN_REVISION,
                f"{older} and {newer} have no common commit; ask without from_merge_base",
                revision=older,
            )
        commits[0] = base.stdout.decode().strip()
    options = ("--patch", "--find-renames", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
    with trees.compared(project.git, *commits, *options) as chunks:
        yield from pieces(chunks, max_bytes or DEFAULT_MAX_BYTES)


def pieces(chunks: Iterable[bytes], max_bytes: int) -> Iterator[Piece]:
    """Yields `chunks` as text in whole lines; replaces bytes that are not UTF-8.

    Splits a line only if it is too long for a piece. The text ends before the line
    that would exceed `max_bytes`.
    """
    room, held, held_bytes = max_bytes, "", 0
    for line in _lines(chunks):
        text = line.decode(errors="replace")
        size = len(text.encode())
        if size > room:
            yield Piece(held, truncated=True)
            return
        if held_bytes + size > PIECE_BYTES:
            yield Piece(held, truncated=False)
            held, held_bytes = "", 0
        room -= size
        held += text
        held_bytes += size
    yield Piece(held, truncated=False)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields lines with their line breaks; splits a line that is longer than a piece."""
    # Each byte that is not UTF-8 becomes a three-byte character.
    longest = PIECE_BYTES // 3
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield from _parts(line + b"\n", longest)
        *parts, rest = _parts(rest, longest)
        yield from parts
    if rest:
        yield rest


def _parts(line: bytes, longest: int) -> Iterator[bytes]:
    """Yields `line` in parts of at most `longest` bytes, at least one part, without splitting a character."""
    while len(line) > longest:
        end = longest
        while end > longest - 3 and line[end] & 0xC0 == 0x80:
            end -= 1
        yield line[:end]
        line = line[end:]
    yield line
