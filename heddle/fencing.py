"""Fences off deposed leaders: remembers the highest epoch that requested a change."""

import os
from pathlib import Path

from heddle import errors, pb
from heddle.durable import sync_folder
from heddle.failpoints import failpoint


class EpochFence:
    """The highest epoch that a service has seen, stored in a small file.

    It survives restarts, so that an old leader that was paused meanwhile is still
    rejected.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._highest = int(path.read_text()) if path.exists() else 0

    def check(self, epoch: int) -> None:
        """Accepts `epoch` if no higher one was seen; raises STALE_EPOCH otherwise."""
        if epoch < self._highest:
            raise errors.HeddleError(
                pb.ERROR_REASON_STALE_EPOCH,
                f"epoch {epoch} has been replaced by {self._highest}: a newer leader is active",
                epoch=self._highest,
            )
        if epoch > self._highest:
            scratch = self._path.with_suffix(".new")
            with scratch.open("w") as file:
                file.write(str(epoch))
                file.flush()
                failpoint("fence.before_sync")
                os.fsync(file.fileno())
            scratch.replace(self._path)
            sync_folder(self._path.parent)
            failpoint("fence.after_sync")
            self._highest = epoch
