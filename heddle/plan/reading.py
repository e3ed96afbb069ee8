"""Reads YAML files of any form: the message, or every mistake with its line."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from heddle.errors import Violation
from heddle.plan.source import Place, Problem, Source, parse_path, path_text

# Much more than a good file can take, and parsed in a second.
MAX_FILE_BYTES: Final = 4 << 20

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Form(Generic[M]):
    """What a kind of file may say: the models of its parts, and the message that they become."""

    # What people call such a file.
    noun: str
    # The module that has its models as PARTS. It is imported once a file is read: that takes
    # longer than most commands, which read none.
    models: str
    message: type[M]
    # Returns what is wrong with a message of good values.
    violations: Callable[[M], Sequence[Violation]]
    # Told of a file that says nothing. Empty: it may.
    empty: str
    # Told of a file that is no mapping.
    shape: str


def content_of(path: Path, noun: str) -> tuple[bytes, tuple[Problem, ...]]:
    """Returns what a file holds, cut behind the most that is read; or why it cannot be read. - is standard input."""
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1), ()
    try:
        # Never more than that: it could be of any size, or a device.
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1), ()
    except IsADirectoryError:
        return b"", _unreadable(f"is a folder; name a {noun} file")
    except FileNotFoundError:
        return b"", _unreadable("does not exist")
    except (OSError, ValueError) as error:
        return b"", _unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}")


def read(content: str | bytes, form: Form[M]) -> tuple[M, tuple[Problem, ...]]:
    """Returns what `content` says, and its mistakes by line; the message is whole only if there are none."""
    text, problems = _decoded(content, form.noun)
    if text is None:
        return form.message(), problems
    message, found = _judged(Source(text, form.noun), form)
    return message, tuple(sorted(found))


def _decoded(content: str | bytes, noun: str) -> tuple[str | None, tuple[Problem, ...]]:
    if len(content) > MAX_FILE_BYTES:
        limit = f"is larger than {MAX_FILE_BYTES >> 20} MiB, the most that a {noun} may take"
        return None, _unreadable(limit)
    encoded = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if b"\0" in encoded:
        return None, _unreadable(f"is binary or not UTF-8; a {noun} is a UTF-8 text")
    try:
        return encoded.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        line = encoded[: error.start].count(b"\n") + 1
        return None, _unreadable("is not UTF-8; save it as UTF-8 text", Place(line, 1))


def _judged(text: Source, form: Form[M]) -> tuple[M, list[Problem]]:
    if text.root is None:
        says_nothing = form.empty and not text.problems
        return form.message(), [*text.problems, *([Problem(1, 1, "", form.empty)] if says_nothing else [])]
    if not isinstance(text.root.value, dict):
        return form.message(), [*text.problems, Problem(*text.root.place, "", form.shape)]
    from heddle.plan.conversion import convert  # noqa: PLC0415 (it needs the models' library)

    message, mistakes = convert(text.root, import_module(form.models).PARTS, form.message)
    problems = [Problem(*text.root.place_of(path), path_text(path), told) for path, told in mistakes]
    problems = [each for each in problems if not _covered(each.field, text.lost)]
    # A value that is no value at all is one mistake, not two; so is a step whose one key is a bad one.
    reported = text.lost | {path_text(path) for path, _ in mistakes}
    reported |= {path_text(path[:-1]) for path, _ in mistakes if path[-3:-2] == ("script",)}
    for violation in form.violations(message) if message else ():
        if not _covered(violation.field, reported):
            place = text.root.place_of(parse_path(violation.field))
            problems.append(Problem(*place, *violation))
    return message or form.message(), [*text.problems, *problems]


def _covered(field: str, reported: set[str]) -> bool:
    """Says whether `field` or a part that it lies in was reported."""
    return any(start in reported for start in _starts(field))


def _starts(field: str) -> Iterator[str]:
    """Yields each part that `field` lies in, and itself."""
    yield from (field[:place] for place, character in enumerate(field) if character in ".[")
    yield field


def _unreadable(message: str, place: Place | None = None) -> tuple[Problem, ...]:
    return (Problem(*(place or Place()), "", message),)
