"""The epoch fence, for calls that run in threads."""

import threading
from collections.abc import Callable
from pathlib import Path

from heddle.fencing import EpochFence

# Takes a caller's epoch; raises STALE_EPOCH if the caller has been deposed, even while it waited.
EpochCheck = Callable[[int], None]


def fence(path: Path) -> EpochCheck:
    """Returns the check against the highest epoch, which is kept in `path`."""
    highest = EpochFence(path)
    mutex = threading.Lock()

    def check_epoch(epoch: int) -> None:
        with mutex:
            highest.check(epoch)

    return check_epoch
