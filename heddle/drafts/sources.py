"""Reads the texts from which a plan is drafted.

`read_source` is the one place that knows what a source can be.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from heddle import pb
from heddle.drafts.request import MAX_SOURCE_BYTES

# Where a repository keeps its specifications.
SPECS: Final = Path(".heddle/specs")

STANDARD_INPUT: Final = "-"

_SUFFIXES: Final = frozenset({".md", ".markdown", ".txt"})


class SourceError(Exception):
    """A source cannot be read; the message says which one, why, and what to do."""


def read_sources(names: Iterable[str], repository: Path | None) -> list[pb.DraftSource]:
    """Returns the texts of sources; raises SourceError. Files in `repository` are named relative to it."""
    given = list(names)
    if given.count(STANDARD_INPUT) > 1:
        raise SourceError("standard input (-) can be read only once")
    return [source for name in given for source in read_source(name, repository)]


def read_source(name: str, repository: Path | None) -> Iterator[pb.DraftSource]:
    """Yields the texts of one source: a file, a folder with Markdown and text files, or - for standard input."""
    if name == STANDARD_INPUT:
        yield pb.DraftSource(name="standard input", text=_text("standard input", _limited(sys.stdin.buffer)))
        return
    path = Path(name).expanduser()
    files = sorted(_files(path)) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{name} has no Markdown or text file ({', '.join(sorted(_SUFFIXES))})")
    for file in files:
        yield pb.DraftSource(name=_name(file, repository), text=_file_text(file))


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        yield from (Path(parent, each) for each in names if Path(each).suffix.lower() in _SUFFIXES)


def _name(file: Path, repository: Path | None) -> str:
    """Returns the name with which people find the file again."""
    if repository is not None and file.resolve().is_relative_to(repository.resolve()):
        return str(file.resolve().relative_to(repository.resolve()))
    return str(file)


def _file_text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return _text(str(file), _limited(opened))
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror or error}") from error


def _limited(file: BinaryIO) -> bytes:
    return file.read(MAX_SOURCE_BYTES + 1)


def _text(name: str, content: bytes) -> str:
    if len(content) > MAX_SOURCE_BYTES:
        raise SourceError(
            f"{name} is larger than {MAX_SOURCE_BYTES:,} bytes, the limit of all sources together; give a part of it, or"
            " put it into the repository and let the goal name it"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is not UTF-8 text") from error
    if "\0" in text:
        raise SourceError(f"{name} is not text: it has a NUL character")
    return text
