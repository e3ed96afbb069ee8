"""Files and folders, safely: writes that a crash cannot halve, removals that an agent cannot block."""

import os
import shutil
from pathlib import Path

from heddle.durable import sync_folder


def write_atomically(path: Path, text: str) -> None:
    """Writes `path` so that it holds the old text or the new, whenever power fails."""
    scratch = _scratch(path)
    with scratch.open("x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    sync_folder(path.parent)


def copy_atomically(source: Path, target: Path) -> None:
    """Copies a file so that `target` is never half, and nothing behind a link is written."""
    scratch = _scratch(target)
    shutil.copyfile(source, scratch)
    scratch.replace(target)


def remove(path: Path) -> None:
    """Removes a file, a link, a pipe or a whole folder. Idempotent; never follows a link."""
    if path.is_dir() and not path.is_symlink():
        unlock(path)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unlock(folder: Path) -> None:
    """Gives us back the permission for what lies in `folder`: agents and module caches take it away."""
    for parent, _, names in os.walk(folder):
        if not os.access(parent, os.R_OK | os.W_OK | os.X_OK):
            Path(parent).chmod(0o700)
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink() and not os.access(path, os.R_OK):
                path.chmod(path.stat().st_mode | 0o400)


def _scratch(path: Path) -> Path:
    """Returns the name under which `path` is written; whatever lies there, a link perhaps, is gone."""
    scratch = path.with_name(f"{path.name}.new")
    remove(scratch)
    return scratch
