"""Brings files of a worktree into an index, one by one where git refuses some of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from heddle import errors, pb
from worktree_svc.git.command import Git, Output, encode, readable
from worktree_svc.storage import files

_ADDS: Final = ("update-index", "--add", "--remove", "--replace", "-z", "--stdin")
_ADDS_ENTRIES: Final = ("update-index", "--add", "--replace", "-z", "--index-info")

REASON: Final = pb.ERROR_REASON_UNCOMMITTABLE_FILES

# Of files that are asked about one by one; the rest of their group counts as refused with them.
_MOST_ASKED: Final = 20

# Of files that a message names.
_MOST_NAMED: Final = 5

# What git begins its lines with; the rest of such a line says why.
_SAYS: Final = ("fatal: ", "error: ")


class Refused(NamedTuple):
    """A file that git does not take, and why."""

    path: str
    why: str


def add(git: Git, paths: Sequence[str]) -> list[Refused]:
    """Brings the index up to date with files; returns those that git refuses, which it leaves as they were.

    Not by `git add`: for a submodule, that starts a git under the submodule's own
    configuration, which may name a program.
    """
    refused: list[Refused] = []
    if paths and _try(git, paths).code:
        files.unlock(git.folder)
        _add_part(git, paths, refused)
    return refused


def _add_part(git: Git, paths: Sequence[str], refused: list[Refused]) -> None:
    """Adds what can be added of `paths`, by halves."""
    output = _try(git, paths)
    if not output.code:
        return
    if len(paths) == 1 or len(refused) >= _MOST_ASKED:
        refused += [Refused(path, _reason(output)) for path in paths]
        return
    half = len(paths) // 2
    _add_part(git, paths[:half], refused)
    _add_part(git, paths[half:], refused)


def _try(git: Git, paths: Sequence[str]) -> Output:
    return git.attempt(*_ADDS, stdin=encode("".join(f"{path}\0" for path in paths)))


def _reason(output: Output) -> str:
    lines = output.stderr.strip().splitlines() or [f"git ended with code {output.code}"]
    said = [line for line in lines if line.startswith(_SAYS)] or lines
    return readable(said[0].partition(": ")[2] if said[0].startswith(_SAYS) else said[0])


def add_raw(git: Git, paths: Sequence[str]) -> list[str]:
    """Brings files into the index byte by byte, as no attribute or filter is asked; returns those that cannot be read."""
    closed: list[str] = []
    entries: list[str] = []
    for path in paths:
        file = git.folder / path
        if file.is_symlink():
            blob = git.text("hash-object", "-w", "--stdin", stdin=encode(str(file.readlink())))
            entries.append(f"120000 {blob}\t{path}")
        elif not os.access(file, os.R_OK):
            closed.append(path)
        elif file.is_file():
            blob = git.text("hash-object", "-w", "--no-filters", "--", path)
            entries.append(f"{'100755' if os.access(file, os.X_OK) else '100644'} {blob}\t{path}")
    add_entries(git, entries)
    return closed


def add_entries(git: Git, entries: Sequence[str]) -> None:
    """Brings entries into the index, each as MODE OBJECT<TAB>PATH."""
    if entries:
        git.text(*_ADDS_ENTRIES, stdin=encode("".join(f"{entry}\0" for entry in entries)))


def remove(git: Git, paths: Sequence[str]) -> None:
    """Removes paths from the index."""
    if paths:
        stdin = encode("".join(f"{path}\0" for path in paths))
        git.text("update-index", "--force-remove", "-z", "--stdin", stdin=stdin)


def uncommittable(refused: Sequence[Refused]) -> errors.HeddleError:
    """Returns the error for files that cannot be committed: it names them, and says what to do."""
    named = "; ".join(f"{readable(path)}: {why}" for path, why in refused[:_MOST_NAMED])
    more = f"; and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
    return errors.HeddleError(
        REASON,
        f"files cannot be committed: {named}{more}. Change or remove them, or what .gitattributes and git's"
        " configuration ask of them (text, working-tree-encoding, filter, core.safecrlf). Nothing was committed.",
        files=", ".join(readable(path) for path, _ in refused[:_MOST_NAMED]),
    )


def unreadable(paths: Sequence[Path]) -> errors.HeddleError:
    """Returns the error for what another user has closed."""
    named = ", ".join(readable(str(path)) for path in paths[:_MOST_NAMED])
    return errors.HeddleError(
        REASON,
        f"files belong to another user and cannot be read: {named}. Give them back (sudo chown -R), or remove"
        " them. Nothing was committed.",
        files=named,
    )
