"""Validates single values: a title, a path, a command, a duration, a key."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Final

from google.protobuf.duration_pb2 import Duration

from heddle.errors import Violation
from heddle.names import KEY

MAX_TITLE_LENGTH: Final = 200
# Longer than any task, and short enough that no timer overflows.
MAX_SECONDS: Final = 365 * 24 * 3600

# A longer word is not a typo, and comparing long words is slow.
_LONGEST_WORD: Final = 63


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns `, did you mean X?` for the nearest known word, or nothing."""
    if len(word) > _LONGEST_WORD:
        return ""
    by_lower = {each.lower(): each for each in known if len(each) <= _LONGEST_WORD}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return f", did you mean {by_lower[near[0]]}?" if near else ""


def shown(text: str) -> str:
    """Returns `text` quoted for a message, and truncated if it is long."""
    return repr(text if len(text) <= _LONGEST_WORD else f"{text[:_LONGEST_WORD]}…")


def one_of(words: Sequence[str]) -> str:
    """Returns the words as a choice: "a, b or c"."""
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def at_most(limit: int) -> str:
    """Returns the last part of a message about a limit."""
    return f"at most {limit:,} are allowed"


def key(path: str, value: str) -> Iterator[Violation]:
    """Yields a violation unless `value` can be the key of an epic or task."""
    if not value:
        yield Violation(path, "is missing")
    elif not KEY.fullmatch(value):
        form = "use at most 63 letters, digits, - and _, starting with a letter or digit"
        yield Violation(path, f"{shown(value)} is not a valid key; {form}")


def title(path: str, value: str) -> Iterator[Violation]:
    """Yields a violation unless `value` fits on a line; empty is valid."""
    if len(value) > MAX_TITLE_LENGTH:
        yield Violation(path, f"has {len(value):,} characters; {at_most(MAX_TITLE_LENGTH)}")
    elif any(character < " " for character in value):
        yield Violation(path, "must be one line without control characters")


def required_title(path: str, value: str) -> Iterator[Violation]:
    """Yields a violation unless `value` fits on a line and is not blank."""
    if value.strip():
        yield from title(path, value)
    else:
        yield Violation(path, "is missing")


def inside_worktree(path: str, value: str) -> Iterator[Violation]:
    """Yields a violation unless `value` is a relative path or glob that stays in the worktree."""
    parts = PurePosixPath(value).parts
    if not parts:
        yield Violation(path, "must name a file in the worktree")
    elif value.startswith("/") or ".." in parts:
        yield Violation(path, f"{shown(value)} points outside the worktree; use a path relative to it")
    elif any(part.lower() == ".git" for part in parts):
        yield Violation(path, f"{shown(value)} points into git's own files")
    yield from no_nul(path, value)


def command(path: str, value: str) -> Iterator[Violation]:
    """Yields a violation unless `value` is a shell command."""
    if not value.strip():
        yield Violation(path, "needs a shell command")
    yield from no_nul(path, value)


def no_nul(path: str, value: str) -> Iterator[Violation]:
    """Yields a violation if `value` has a NUL character, which cannot be passed to a program."""
    if "\0" in value:
        yield Violation(path, "must not contain a NUL character")


def positive(path: str, value: Duration) -> Iterator[Violation]:
    """Yields a violation unless `value` is greater than zero and at most MAX_SECONDS."""
    seconds = value.seconds + value.nanos / 1e9
    if seconds <= 0:
        yield Violation(path, "must be greater than zero seconds")
    elif seconds > MAX_SECONDS:
        yield Violation(path, "must be at most 365 days")
