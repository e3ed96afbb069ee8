"""New objects on their way into a repository, all of them at once.

git writes them into a folder of their own; here they become durable and move to
their places. What a crash leaves in the folder, nobody refers to.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

# A disk writes many files out together, if it is asked to at the same time.
MOST_AT_ONCE: Final = 16


def settle(folder: Path, objects: Path) -> None:
    """Moves all objects of `folder` to `objects`; they are on the disk before anything of them can be seen."""
    found = [path for path in folder.glob("*/*") if path.parent.name != "info"]
    _sync(found)
    # A pack may be used from the moment at which its index is there.
    for path in sorted(found, key=lambda path: path.suffix == ".idx"):
        target = objects / path.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)


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
