"""The epoch fence, for calls that run in threads."""

import threading
from collections.abc import Callable
from pathlib import Path

from heddle.fencing import EpochFence

# Takes a caller's epoch; raises STALE_EPOCH if the caller has been deposed, even while it waited.
StillLeads = Callable[[int], None]


def fence(path: Path) -> StillLeads:
    """Returns the check against the highest epoch, which is kept in `path`."""
    highest = EpochFence(path)
    mutex = threading.Lock()

    def still_leads(epoch: int) -> None:
        with mutex:
            highest.check(epoch)

    return still_leads
