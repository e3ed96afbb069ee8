"""Validates project files."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import Final

from heddle import labels, pb
from heddle.errors import Violation
from heddle.plan.rules import MAX_VIOLATIONS, checks, limited_globs
from heddle.plan.values import text_rules
from heddle.plan.values.text_rules import at_most, shown
from heddle.project import environment

MAX_COMMANDS: Final = 100
MAX_PATHS: Final = 100
MAX_PORTS: Final = 100
MAX_VARIABLES: Final = 200
MAX_VALUE_BYTES: Final = 32 << 10
# Every request for a worktree includes the file.
MAX_FILE_BYTES: Final = 64 << 10

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WILD: Final = frozenset("*?")

# Set for each session, regardless of the project.
_TAKEN: Final = frozenset({"TMPDIR"})


def violations(file: pb.ProjectFile) -> list[Violation]:
    """Returns every violation in `file` (the first thousand); an empty list means that it is valid."""
    return list(islice(_file(file), MAX_VIOLATIONS))


def is_glob(path: str) -> bool:
    """Returns whether an entry of `copy` may match any number of files."""
    return bool(_WILD.intersection(path))


def _file(file: pb.ProjectFile) -> Iterator[Violation]:
    if file.ByteSize() > MAX_FILE_BYTES:
        yield Violation("", f"is {file.ByteSize():,} bytes; {at_most(MAX_FILE_BYTES)}")
    yield from _commands("setup", file.setup)
    if file.HasField("setup_timeout"):
        yield from text_rules.positive("setup_timeout", file.setup_timeout)
    yield from _paths("copy", "", file.copy)
    yield from _paths("link", ".path", [link.path for link in file.link])
    yield from _links(file)
    if not 0 <= file.ports <= MAX_PORTS:
        yield Violation("ports", f"must be from 0 to {MAX_PORTS}")
    yield from (Violation("place", problem) for problem in labels.problems(file.place))
    yield from _variables(file)
    yield from checks("checks", file.checks)
    yield from _commands("teardown", file.teardown)
    yield from limited_globs("allow_files", file.allow_files)


def _commands(path: str, commands: Sequence[str]) -> Iterator[Violation]:
    if len(commands) > MAX_COMMANDS:
        yield Violation(path, f"has {len(commands):,} commands; {at_most(MAX_COMMANDS)}")
    for index, command in enumerate(commands[:MAX_COMMANDS]):
        yield from text_rules.command(f"{path}[{index}]", command)


def _paths(path: str, field: str, found: Sequence[str]) -> Iterator[Violation]:
    if len(found) > MAX_PATHS:
        yield Violation(path, f"has {len(found):,} entries; {at_most(MAX_PATHS)}")
    for index, each in enumerate(found[:MAX_PATHS]):
        yield from text_rules.inside_worktree(f"{path}[{index}]{field}", each)
    yield from _twice(path, field, found)


def _links(file: pb.ProjectFile) -> Iterator[Violation]:
    """Yields links that are globs, and paths inside a link: those folders are shared, not per worktree."""
    links = [(f"link[{index}].path", PurePosixPath(link.path)) for index, link in enumerate(file.link)]
    for path, folder in links:
        if is_glob(str(folder)):
            yield Violation(path, f"{shown(str(folder))} is a glob; a link must name one folder")
    copies = [
        (f"copy[{index}]", PurePosixPath(each)) for index, each in enumerate(file.copy) if not is_glob(each)
    ]
    for path, place in [*links, *copies]:
        for other, folder in links:
            if folder.parts and folder in place.parents:
                yield Violation(
                    path, f"{shown(str(place))} is inside {other}, a folder that all worktrees share"
                )


def _twice(path: str, field: str, found: Iterable[str]) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for index, each in enumerate(found):
        place = first.setdefault(each.rstrip("/"), index)
        if place != index and each:
            yield Violation(f"{path}[{index}]{field}", f"{shown(each)} is a duplicate of {path}[{place}]")


def _variables(file: pb.ProjectFile) -> Iterator[Violation]:
    if len(file.env) > MAX_VARIABLES:
        yield Violation("env", f"has {len(file.env):,} variables; {at_most(MAX_VARIABLES)}")
    for name, value in sorted(file.env.items()):
        path = f"env.{name}"
        if not _NAME.fullmatch(name):
            yield Violation(path, f"{shown(name)} is not a valid variable name; use letters, digits and _")
        elif name.startswith(environment.RESERVED) or name in _TAKEN:
            yield Violation(path, "is set by Heddle itself; use another name")
        if len(value.encode()) > MAX_VALUE_BYTES:
            yield Violation(path, f"is {len(value.encode()):,} bytes; {at_most(MAX_VALUE_BYTES)}")
        yield from text_rules.no_nul(path, value)
        for missing in environment.unknown_references(value, file.ports):
            advice = (
                "increase `ports`" if missing.startswith("HEDDLE_PORT") else "use HEDDLE_SLOT or HEDDLE_PORT"
            )
            yield Violation(path, f"${{{missing}}} is not a variable of an epic; {advice}")
