"""Reads YAML files of any form: the message, or every error with its line."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from heddle.errors import Violation
from heddle.plan.yaml.source import Place, Problem, Source, parse_path, path_text

# Far larger than any valid file, and still parsed within a second.
MAX_FILE_BYTES: Final = 4 << 20

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Form(Generic[M]):
    """A kind of file: the models of its parts, and the message that it becomes."""

    # How messages refer to such a file.
    noun: str
    # The module with its models as PARTS. It is imported when a file is first read: the import
    # takes longer than most commands, which read none.
    models: str
    message: type[M]
    # Returns the violations of a message whose single values are valid.
    violations: Callable[[M], Sequence[Violation]]
    # The error for a file without content. Empty: such a file is valid.
    empty: str
    # The error for a file that is not a mapping.
    shape: str


def content_of(path: Path, noun: str) -> tuple[bytes, tuple[Problem, ...]]:
    """Returns the first MAX_FILE_BYTES + 1 bytes of a file, or why it cannot be read. - is standard input."""
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1), ()
    try:
        # The file could be of any size, or a device.
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1), ()
    except IsADirectoryError:
        return b"", _unreadable(f"is a folder; name a {noun} file")
    except FileNotFoundError:
        return b"", _unreadable("does not exist")
    except (OSError, ValueError) as error:
        return b"", _unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}")


def read(
    content: str | bytes, form: Form[M], prepare: Callable[[Source], object] = lambda _source: None
) -> tuple[M, tuple[Problem, ...]]:
    """Returns the message of `content`, and its errors by line; the message is complete only without errors.

    `prepare` may change the values before they are checked.
    """
    text, problems = _decoded(content, form.noun)
    if text is None:
        return form.message(), problems
    source = Source(text, form.noun)
    prepare(source)
    message, found = _judged(source, form)
    return message, tuple(sorted(found))


def _decoded(content: str | bytes, noun: str) -> tuple[str | None, tuple[Problem, ...]]:
    if len(content) > MAX_FILE_BYTES:
        limit = f"is larger than {MAX_FILE_BYTES >> 20} MiB, the maximum for a {noun}"
        return None, _unreadable(limit)
    encoded = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if b"\0" in encoded:
        return None, _unreadable(f"is binary or not UTF-8; a {noun} must be UTF-8 text")
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
    from heddle.plan.yaml.conversion import convert  # noqa: PLC0415 (imports pydantic, which is slow)

    message, errors = convert(text.root, import_module(form.models).PARTS, form.message)
    problems = [Problem(*text.root.place_of(path), path_text(path), error) for path, error in errors]
    problems = [each for each in problems if not _covered(each.field, text.lost)]
    # An invalid value is one error, not two; so is a step whose only key is invalid.
    reported = text.lost | {path_text(path) for path, _ in errors}
    reported |= {path_text(path[:-1]) for path, _ in errors if path[-3:-2] == ("script",)}
    for violation in form.violations(message) if message else ():
        if not _covered(violation.field, reported):
            place = text.root.place_of(parse_path(violation.field))
            problems.append(Problem(*place, *violation))
    return message or form.message(), [*text.problems, *problems]


def _covered(field: str, reported: set[str]) -> bool:
    """Returns whether `field`, or a part that contains it, was reported."""
    return any(start in reported for start in _starts(field))


def _starts(field: str) -> Iterator[str]:
    """Yields each part that contains `field`, then `field` itself."""
    yield from (field[:place] for place, character in enumerate(field) if character in ".[")
    yield field


def _unreadable(message: str, place: Place | None = None) -> tuple[Problem, ...]:
    return (Problem(*(place or Place()), "", message),)
