"""The disk use of worktrees, measured in the background, rarely enough to cost almost nothing."""

import subprocess
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from heddle.names import EpicName
from worktree_svc.storage.worktree_states import Place, States

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between rounds, and the pause as a multiple of the last round's duration: at most 1/50 of one core.
_PAUSE: Final = 60.0
_REST: Final = 50

# Seconds after which measuring one worktree is given up.
_LONGEST: Final = 120.0

# The system's own tool, at the lowest priority: in Python it would take ten times as long.
_MEASURE: Final = ("nice", "-n", "19", "du", "-skx")


class Measured(NamedTuple):
    """The bytes that a worktree's files take, and when that was measured, in seconds since 1970."""

    size: int
    at: int


class DiskUse:
    """The newest figures of all worktrees. Safe to use from threads."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._figures: dict[EpicName, Measured] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk-use", daemon=True)

    def start(self) -> None:
        """Starts measuring."""
        self._thread.start()

    def close(self) -> None:
        """Stops measuring. Idempotent."""
        self._ended.set()

    def of(self, place: Place) -> Measured | None:
        """Returns the newest figure, measured now if there is none; None if it cannot be measured."""
        if place.epic not in self._figures:
            self._measure(place)
        return self._figures.get(place.epic)

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            began = time.monotonic()
            existing = [place for place, _ in self._states.all()]
            for gone in self._figures.keys() - {place.epic for place in existing}:
                self._figures.pop(gone, None)
            for place in existing:
                if self._ended.is_set():
                    return
                self._measure(place)
            pause = max(_PAUSE, _REST * (time.monotonic() - began))

    def _measure(self, place: Place) -> None:
        size = measure(place.path)
        if size is not None:
            self._figures[place.epic] = Measured(size, int(time.time()))


def measure(folder: Path) -> int | None:
    """Returns the bytes that a folder takes on its disk; None if that cannot be determined."""
    try:
        done = subprocess.run([*_MEASURE, str(folder)], capture_output=True, timeout=_LONGEST, check=False)
        # du leaves out what it may not read, and reports that only in its exit code.
        return int(done.stdout.split(maxsplit=1)[0]) * 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        log.info("disk_use_unknown", path=str(folder), error=str(error))
        return None
