"""What has to survive a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Puts the names in `folder` on disk: a file that was just created or renamed there is not safe before."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
