"""What changed around a session's worktree while it ran, for agents without a sandbox.

Who changed it cannot be known. Left out is what has another reason: a worktree in which
another session ran in that time, and one that worktree_svc itself made ready. What is left was
this agent, another that ran at the same time, or the user.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from agent_svc.sandbox.repository import Checkout, checkout

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Of a repository: what names programs that git runs.
GUARDED: Final = ("config", "config.worktree", "hooks", "info/attributes")

# Tracked files and new ones that are not ignored: what a project builds into its folder changes all the time.
# A configuration that an agent wrote must not start a program.
LIST: Final = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
SAFE: Final = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.hooksPath=/dev/null",
)

# Seconds for one list.
PATIENCE: Final = 30


def now(folder: Path) -> int:
    """Returns the time by the clock of the file system there, in nanoseconds."""
    mark = folder / ".heddle-mark"
    mark.touch()
    try:
        return mark.stat().st_ctime_ns
    finally:
        mark.unlink()


def changed(worktree: Path, since: int, busy: Callable[[Path], bool]) -> list[str]:
    """Returns the paths around `worktree` that changed after `since`, sorted.

    `busy` says of another worktree whether a session ran in it meanwhile.
    """
    found = checkout(worktree.resolve())
    if found is None:
        return []
    places = [*_main(found), *_others(found, since, busy)]
    paths = list(_guarded(found.common, since))
    for folder, git_dir in places:
        paths += _written(folder, git_dir, since)
    return sorted(map(str, paths))


def _main(found: Checkout) -> Iterator[tuple[Path, Path]]:
    """Yields the user's checkout, where the repository has one."""
    if found.common.name == ".git":
        yield found.common.parent, found.common


def _others(found: Checkout, since: int, busy: Callable[[Path], bool]) -> Iterator[tuple[Path, Path]]:
    """Yields the worktrees in which no one had a reason to write, each with its git folder."""
    for git_dir in found.git_dir.parent.iterdir():
        if git_dir == found.git_dir:
            continue
        try:
            folder = Path((git_dir / "gitdir").read_text(errors="surrogateescape").strip()).parent
            # Whoever makes a worktree ready puts its HEAD in place.
            made_ready = (git_dir / "HEAD").stat().st_ctime_ns > since
        except OSError:
            continue
        if not made_ready and not busy(folder) and folder.is_dir():
            yield folder, git_dir


def _guarded(common: Path, since: int) -> Iterator[Path]:
    for name in GUARDED:
        path = common / name
        inside = path.iterdir() if path.is_dir() else ()
        # Whether a missing file ever existed is unknown: the folder above changes with each git that runs.
        yield from (each for each in (path, *inside) if os.path.lexists(each) and _newer(each, since))


def _written(folder: Path, git_dir: Path, since: int) -> Iterator[Path]:
    for name in _files(folder, git_dir):
        path = folder / name
        # A folder's name ends in a slash: a repository of its own, perhaps another worktree.
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
    """Says whether a path was written, made or deleted after `since`."""
    try:
        return path.lstat().st_ctime_ns > since
    except FileNotFoundError:
        return path.parent.is_dir() and path.parent.stat().st_ctime_ns > since
    except OSError:
        return False
