"""Finds ignored files that agents wrote: checks may depend on them, but the commit does not contain them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

from heddle import pb
from worktree_svc.content import checkouts
from worktree_svc.git.process.command import readable
from worktree_svc.projects.repository import Project
from worktree_svc.storage.worktree_store import WorktreePaths

# The most paths that are named, files that are counted, and files that are examined.
MOST_NAMED: Final = 20
MOST_COUNTED: Final = 10_000
_MOST_LOOKED_AT: Final = 50_000

# Names of cache files and folders, whose content programs can always recreate.
_CACHES: Final = frozenset(
    {
        *checkouts.ARTIFACTS,
        *("node_modules", "bower_components", ".venv", "venv", "__pycache__", ".cache", ".eggs"),
        *(
            ".pytest_cache",
            ".mypy_cache",
            ".ruff_cache",
            ".hypothesis",
            ".tox",
            ".nox",
            "htmlcov",
            ".coverage",
        ),
        *(
            ".gradle",
            ".terraform",
            ".next",
            ".nuxt",
            ".turbo",
            ".parcel-cache",
            ".nyc_output",
            ".eslintcache",
        ),
        *(".idea", ".vscode", ".DS_Store", "Thumbs.db"),
    }
)
_CACHE_SUFFIXES: Final = (".pyc", ".log", ".swp", ".egg-info", ".tsbuildinfo")


class Span(NamedTuple):
    """A period of time, in nanoseconds since 1970."""

    start: int
    end: int

    @classmethod
    def of(cls, message: pb.TimeSpan) -> Self:
        """Converts a TimeSpan message."""
        return cls(message.start.ToNanoseconds(), message.end.ToNanoseconds())


@dataclass(frozen=True)
class IgnoredFiles:
    """The first files, sorted by path, and the total number of files, at most MOST_COUNTED."""

    paths: Sequence[str] = ()
    count: int = 0


def written(project: Project, paths: WorktreePaths, spans: Sequence[Span]) -> IgnoredFiles:
    """Returns the ignored files in the worktree that were written within `spans`, without caches."""
    if not spans or not checkouts.exists(paths) or not paths.index.exists():
        return IgnoredFiles()
    git = project.git.at(paths.worktree, index=paths.index)
    options = ("--others", "--ignored", "--exclude-standard", "--directory", "--no-empty-directory", "-z")
    found = []
    looked_at = 0
    for entry in git.items("ls-files", *options):
        for path in _files(paths.worktree, entry):
            looked_at += 1
            if _was_written(paths.worktree / path, spans):
                found.append(path)
            if len(found) >= MOST_COUNTED or looked_at >= _MOST_LOOKED_AT:
                return _summary(found)
    return _summary(found)


def is_cache(name: str) -> bool:
    """Returns whether a file or folder of this name is a cache, which programs can recreate."""
    return name in _CACHES or name.endswith(_CACHE_SUFFIXES)


def _summary(found: list[str]) -> IgnoredFiles:
    return IgnoredFiles([readable(path) for path in sorted(found)[:MOST_NAMED]], len(found))


def _files(top: Path, entry: str) -> Iterator[str]:
    """Yields the files of one entry in git's list, which may be a folder; does not follow links."""
    if any(is_cache(part) for part in Path(entry).parts):
        return
    if not entry.endswith("/"):
        yield entry
        return
    for folder, names, file_names in os.walk(top / entry):
        names[:] = [name for name in names if not is_cache(name) and name != ".git"]
        above = Path(folder).relative_to(top)
        yield from (str(above / name) for name in file_names if not is_cache(name))


def _was_written(path: Path, spans: Sequence[Span]) -> bool:
    with suppress(OSError):  # removed meanwhile
        # Programs can set the modification time, but not the change time.
        moment = path.lstat().st_ctime_ns
        return any(span.start <= moment <= span.end for span in spans)
    return False
