"""Writes that survive a power failure."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Syncs the entries of `folder` to disk; until then, a file just created or renamed there may be lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
