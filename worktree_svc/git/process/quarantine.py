"""Moves new objects into a repository, all of them at once.

git writes them into a separate folder; here they are synced and moved to their
final paths. No ref points to objects that a crash leaves in that folder.
"""

import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

# The disk combines sync requests that arrive at the same time.
MOST_AT_ONCE: Final = 16


def migrate(folder: Path, objects: Path) -> None:
    """Moves all objects of `folder` to `objects`; syncs all of them to disk before any becomes visible."""
    found = [path for path in folder.glob("*/*") if path.parent.name != "info"]
    _sync(found)
    # git may use a pack as soon as its index exists.
    for path in sorted(found, key=lambda path: path.suffix == ".idx"):
        target = objects / path.relative_to(folder)
        _make_like(path.parent, target.parent)
        path.replace(target)


def _make_like(folder: Path, target: Path) -> None:
    """Creates a folder with the mode that git gave `folder`.

    In a shared repository, other users may write to it.
    """
    try:
        target.mkdir()
    except FileExistsError:
        return
    target.chmod(stat.S_IMODE(folder.stat().st_mode))


def _sync(paths: Iterable[Path]) -> None:
    with ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="sync") as threads:
        for _ in threads.map(_sync_one, paths):
            pass


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
