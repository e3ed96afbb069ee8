"""Finds what changed around a session's worktree while it ran, for agents without a sandbox.

It is not possible to determine who made a change. Worktrees with another explanation are left out:
those in which another session ran in that time, and those that worktree_svc itself prepared.
The remaining changes come from this agent, another one that ran at the same time, or the user.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from agent_svc.sandbox.repository import Checkout, checkout
from heddle.files import beneath
from heddle.files.worktree_paths import git_folder_of

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# The paths in a repository's git folder that name programs which git runs.
GUARDED: Final = ("config", "config.worktree", "hooks", "info/attributes")

# Lists tracked files and new files, but not ignored ones: build output, for example, changes all the time.
# SAFE prevents a configuration that an agent wrote from starting a program.
LIST: Final = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
SAFE: Final = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.hooksPath=/dev/null",
)

# The longest content of a file that names a folder.
_MOST_POINTER_BYTES: Final = 64 << 10

# Time limit of one git ls-files, in seconds.
PATIENCE: Final = 30


def now(folder: Path) -> int:
    """Returns the time of the file system that contains `folder`, in nanoseconds."""
    mark = folder / ".heddle-mark"
    mark.touch()
    try:
        return mark.stat().st_ctime_ns
    finally:
        mark.unlink()


def changed(worktree: Path, since: int, busy: Callable[[Path], bool]) -> list[str]:
    """Returns the paths around `worktree` that changed after `since`, sorted.

    `busy` returns whether a session ran in another worktree in that time.
    """
    found = checkout(worktree.resolve())
    if found is None:
        return []
    places = [*_main(found), *_others(found, worktree.resolve(), since, busy)]
    paths = list(_guarded(found.common, since))
    for folder, git_dir in places:
        paths += _written(folder, git_dir, since)
    return sorted(map(str, paths))


def _main(found: Checkout) -> Iterator[tuple[Path, Path]]:
    """Yields the user's checkout and its git folder, if the repository has a checkout."""
    if found.common.name == ".git":
        yield found.common.parent, found.common


def _others(
    found: Checkout, worktree: Path, since: int, busy: Callable[[Path], bool]
) -> Iterator[tuple[Path, Path]]:
    """Yields the worktrees that should not have changed, each with its git folder."""
    for registration in (found.common / "worktrees").iterdir():
        try:
            pointer = beneath.read_file(registration / "gitdir", _MOST_POINTER_BYTES)
            folder = Path(os.fsdecode(pointer).strip()).parent
            if folder == worktree:
                continue
            # Other worktrees than those of epics, such as the user's, have no view.
            own = git_folder_of(folder)
            git_dir = own if own.is_dir() else registration
            # Preparing a worktree writes its HEAD.
            made_ready = (git_dir / "HEAD").stat().st_ctime_ns > since
        except OSError:
            continue
        if not made_ready and not busy(folder) and folder.is_dir():
            yield folder, git_dir


def _guarded(common: Path, since: int) -> Iterator[Path]:
    for name in GUARDED:
        path = common / name
        inside = path.iterdir() if path.is_dir() else ()
        # Skips missing files: they may never have existed, and each git command changes the parent folder.
        yield from (each for each in (path, *inside) if os.path.lexists(each) and _newer(each, since))


def _written(folder: Path, git_dir: Path, since: int) -> Iterator[Path]:
    for name in _files(folder, git_dir):
        path = folder / name
        # A name that ends in a slash is a folder: a nested repository, perhaps another worktree.
        if not name.endswith("/") and _newer(path, since):
            yield path


def _files(folder: Path, git_dir: Path) -> Sequence[str]:
    command = ["git", *SAFE, f"--git-dir={git_dir}", f"--work-tree={folder}", *LIST]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("surroundings_not_seen", folder=str(folder), error=str(error))
        return []
    return os.fsdecode(done.stdout).split("\0")[:-1]


def _newer(path: Path, since: int) -> bool:
    """Returns whether a path was written, created or deleted after `since`."""
    try:
        return path.lstat().st_ctime_ns > since
    except FileNotFoundError:
        return path.parent.is_dir() and path.parent.stat().st_ctime_ns > since
    except OSError:
        return False
