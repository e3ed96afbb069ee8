"""Fences off deposed leaders: remembers the highest epoch that requested a change."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.files.durable import sync_folder

# The files below HEDDLE_HOME in which a worker's services remember the highest epoch.
FILES: Final = ("agent_epoch", "worktree_epoch")

# The command that repairs them.
REPAIR: Final = "heddle repair-epochs"

# An epoch counts changes of the leader. Replicas try to lead once a second, and no database is older than this
# moment (2024-01-01, in seconds since 1970).
_OLDEST_DATABASE: Final = 1_704_067_200

# The ceiling of a machine whose clock is not set.
_LOWEST_CEILING: Final = 10_000_000


def ceiling(now: float) -> int:
    """Returns the highest epoch that leader changes can explain at `now`, in seconds since 1970."""
    return max(int(now) - _OLDEST_DATABASE, _LOWEST_CEILING)


class EpochFence:
    """The highest epoch that a service has seen, stored in a small file.

    It survives restarts, so that an old leader that was paused meanwhile is still
    rejected. If the file is replaced or removed while the service runs, its new content counts.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stamp: tuple[int, ...] | None = ()
        self._highest = 0
        self._load()

    def _load(self) -> None:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._highest = read(self._path)
            self._stamp = stamp

    def check(self, epoch: int) -> None:
        """Accepts `epoch` if no higher one was seen; raises STALE_EPOCH otherwise.

        Raises INVALID_FIELD for an epoch that no number of leader changes explains. Otherwise one such request would
        refuse all later leaders.
        """
        self._load()
        if epoch < self._highest:
            raise errors.HeddleError(
                pb.ERROR_REASON_STALE_EPOCH,
                f"epoch {epoch} has been replaced by {self._highest}: {self._why()}",
                epoch=self._highest,
            )
        if epoch > self._highest:
            limit = ceiling(self._now())
            if epoch > limit:
                raise errors.invalid_field(
                    "epoch", f"no leader has the epoch {epoch}: it can be at most {limit} by now"
                )
            self._raise_to(epoch)

    def _why(self) -> str:
        if self._highest > ceiling(self._now()):
            return f"no leader set that epoch; on this worker, run `{REPAIR}`"
        return "a newer leader is active"

    def _raise_to(self, epoch: int) -> None:
        write(self._path, epoch)
        failpoint("fence.after_sync")
        self._highest, self._stamp = epoch, _stamp(self._path)


def read(path: Path) -> int:
    """Returns the epoch in a fence's file; 0 if the file does not exist."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return 0


def write(path: Path, epoch: int) -> None:
    """Stores an epoch in a fence's file, durably and atomically."""
    scratch = path.with_suffix(".new")
    with scratch.open("w") as file:
        file.write(str(epoch))
        file.flush()
        failpoint("fence.before_sync")
        os.fsync(file.fileno())
    scratch.replace(path)
    sync_folder(path.parent)


def implausible(home: Path, now: float) -> dict[Path, int]:
    """Returns the fence files below `home`, with their epochs, that no leader can have set."""
    found = {path: read(path) for path in (home / name for name in FILES)}
    return {path: epoch for path, epoch in found.items() if epoch > ceiling(now)}


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
