"""What worktrees take on the disk: measured in the background, seldom enough to cost next to nothing."""

import subprocess
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from heddle.names import EpicName
from worktree_svc.storage.worktree_states import Place, States

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between rounds, and how many times as long as a round took: at most a fiftieth of one core.
_PAUSE: Final = 60.0
_REST: Final = 50

# Seconds that one worktree may take.
_LONGEST: Final = 120.0

# By the system's own tool, at the lowest priority: in Python it would take ten times as long.
_MEASURE: Final = ("nice", "-n", "19", "du", "-skx")


class Measured(NamedTuple):
    """What a worktree's files take, and when that was, in seconds since 1970."""

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
        """Begins to measure."""
        self._thread.start()

    def close(self) -> None:
        """Measures no more. Idempotent."""
        self._ended.set()

    def of(self, place: Place) -> Measured | None:
        """Returns the newest figure, measured now if there is none; None where it cannot be measured."""
        if place.epic not in self._figures:
            self._measure(place)
        return self._figures.get(place.epic)

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            began = time.monotonic()
            there = [place for place, _ in self._states.all()]
            for gone in self._figures.keys() - {place.epic for place in there}:
                self._figures.pop(gone, None)
            for place in there:
                if self._ended.is_set():
                    return
                self._measure(place)
            pause = max(_PAUSE, _REST * (time.monotonic() - began))

    def _measure(self, place: Place) -> None:
        size = measure(place.path)
        if size is not None:
            self._figures[place.epic] = Measured(size, int(time.time()))


def measure(folder: Path) -> int | None:
    """Returns the bytes that a folder takes on its disk; None where that cannot be told."""
    try:
        done = subprocess.run([*_MEASURE, str(folder)], capture_output=True, timeout=_LONGEST, check=False)
        # What it may not read, it leaves out, and says so by its exit code.
        return int(done.stdout.split(maxsplit=1)[0]) * 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        log.info("disk_use_unknown", path=str(folder), error=str(error))
        return None
