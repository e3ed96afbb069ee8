"""Adds files of a worktree to an index; finds the files that git refuses."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from heddle import errors, pb
from worktree_svc.git.process.command import Git, Output, encode, readable
from worktree_svc.storage import files

_ADDS: Final = ("update-index", "--add", "--remove", "--replace", "-z", "--stdin")
_ADDS_ENTRIES: Final = ("update-index", "--add", "--replace", "-z", "--index-info")

REASON: Final = pb.ERROR_REASON_UNCOMMITTABLE_FILES

# The most refused files to find one by one. Beyond that, the rest of their group counts as refused.
_MOST_ASKED: Final = 20

# The most files in a message.
_MOST_NAMED: Final = 5

# The prefixes of git's error lines; the rest of the line is the reason.
_SAYS: Final = ("fatal: ", "error: ")


class Refused(NamedTuple):
    """A file that git refuses to add, and why."""

    path: str
    why: str


def add(git: Git, paths: Sequence[str]) -> list[Refused]:
    """Updates the index entries of files; returns the files that git refuses, whose entries are unchanged.

    Does not use `git add`: for a submodule, that would start a git process with the submodule's
    own configuration, which may name a program.
    """
    refused: list[Refused] = []
    if paths and _try(git, paths).code:
        files.unlock(git.folder)
        _add_part(git, paths, refused)
    return refused


def _add_part(git: Git, paths: Sequence[str], refused: list[Refused]) -> None:
    """Adds the `paths` that git accepts, which it finds by bisection."""
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
    return git.run(*_ADDS, stdin=encode("".join(f"{path}\0" for path in paths)))


def _reason(output: Output) -> str:
    lines = output.stderr.strip().splitlines() or [f"git ended with code {output.code}"]
    said = [line for line in lines if line.startswith(_SAYS)] or lines
    return readable(said[0].partition(": ")[2] if said[0].startswith(_SAYS) else said[0])


def add_raw(git: Git, paths: Sequence[str]) -> list[str]:
    """Adds the exact bytes of files to the index, without attributes or filters; returns the files that cannot be read."""
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
    """Adds entries to the index, each as MODE OBJECT<TAB>PATH."""
    if entries:
        git.text(*_ADDS_ENTRIES, stdin=encode("".join(f"{entry}\0" for entry in entries)))


def remove(git: Git, paths: Sequence[str]) -> None:
    """Removes paths from the index."""
    if paths:
        stdin = encode("".join(f"{path}\0" for path in paths))
        git.text("update-index", "--force-remove", "-z", "--stdin", stdin=stdin)


def uncommittable(refused: Sequence[Refused]) -> errors.HeddleError:
    """Returns the error for files that cannot be committed, with the files, the reasons and what to do."""
    named = "; ".join(f"{readable(path)}: {why}" for path, why in refused[:_MOST_NAMED])
    more = f"; and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
    return errors.HeddleError(
        REASON,
        f"files cannot be committed: {named}{more}. Change or remove them, or change the attributes and settings that"
        " apply to them (text, working-tree-encoding, filter, core.safecrlf). Nothing was committed.",
        files=", ".join(readable(path) for path, _ in refused[:_MOST_NAMED]),
    )


def unreadable(paths: Sequence[Path]) -> errors.HeddleError:
    """Returns the error for files that another user's permissions make unreadable."""
    named = ", ".join(readable(str(path)) for path in paths[:_MOST_NAMED])
    return errors.HeddleError(
        REASON,
        f"files belong to another user and cannot be read: {named}. Change their owner (sudo chown -R), or remove"
        " them. Nothing was committed.",
        files=named,
    )
