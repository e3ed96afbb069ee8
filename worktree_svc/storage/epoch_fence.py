"""Makes the epoch fence safe for calls that run in threads."""

import threading
from collections.abc import Callable
from pathlib import Path

from heddle.files.fencing import EpochFence

# Checks a caller's epoch; raises STALE_EPOCH if the caller has been deposed, even while it waited.
EpochCheck = Callable[[int], None]


def fence(path: Path) -> EpochCheck:
    """Returns a function that checks an epoch against the highest epoch, which is stored in `path`."""
    highest = EpochFence(path)
    mutex = threading.Lock()

    def check_epoch(epoch: int) -> None:
        with mutex:
            highest.check(epoch)

    return check_epoch
