"""Measures the disk use of worktrees in the background, rarely enough to have almost no cost."""

import subprocess
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from heddle.names import EpicName
from worktree_svc.storage.worktree_store import WorktreePaths, WorktreeStore

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between rounds, and the pause as a multiple of the last round's duration: at most 1/50 of one core.
_PAUSE: Final = 60.0
_REST: Final = 50

# Seconds after which the measurement of one worktree is abandoned.
_LONGEST: Final = 120.0

# The system's own tool, at the lowest priority. The same in Python would take ten times as long.
_MEASURE: Final = ("nice", "-n", "19", "du", "-skx")


class Measured(NamedTuple):
    """The bytes that a worktree's files use on disk, and the time of the measurement in seconds since 1970."""

    size: int
    at: int


class DiskUse:
    """The newest measurements of all worktrees. Safe to use from threads."""

    def __init__(self, store: WorktreeStore) -> None:
        self._store = store
        self._figures: dict[EpicName, Measured] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk-use", daemon=True)

    def start(self) -> None:
        """Starts measuring."""
        self._thread.start()

    def close(self) -> None:
        """Stops measuring. Idempotent."""
        self._ended.set()

    def of(self, paths: WorktreePaths) -> Measured | None:
        """Returns the newest measurement, or measures now if there is none; None if that fails."""
        if paths.epic not in self._figures:
            self._measure(paths)
        return self._figures.get(paths.epic)

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            began = time.monotonic()
            existing = [paths for paths, _ in self._store.all()]
            for gone in self._figures.keys() - {paths.epic for paths in existing}:
                self._figures.pop(gone, None)
            for paths in existing:
                if self._ended.is_set():
                    return
                self._measure(paths)
            pause = max(_PAUSE, _REST * (time.monotonic() - began))

    def _measure(self, paths: WorktreePaths) -> None:
        size = measure(paths.worktree)
        if size is not None:
            self._figures[paths.epic] = Measured(size, int(time.time()))


def measure(folder: Path) -> int | None:
    """Returns the bytes that a folder uses on its disk; None if that cannot be determined."""
    try:
        done = subprocess.run([*_MEASURE, str(folder)], capture_output=True, timeout=_LONGEST, check=False)
        # du omits what it may not read, and reports that only in its exit code.
        return int(done.stdout.split(maxsplit=1)[0]) * 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        log.info("disk_use_unknown", path=str(folder), error=str(error))
        return None
