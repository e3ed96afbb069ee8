"""Defines which states count as open or ended, and the outcome of each ended state."""

import enum
from typing import Final

from heddle import pb


class MergeState(enum.IntEnum):
    """The progress of merging a branch into its target."""

    NONE = 0
    MERGING = 1
    MERGED = 2
    # The merge conflicted or failed in another way.
    CONFLICTED = 3


ENDED_RUN: Final = (pb.RUN_STATE_SUCCEEDED, pb.RUN_STATE_FAILED, pb.RUN_STATE_CANCELLED)

ENDED_EPIC: Final = (
    pb.EPIC_STATE_SUCCEEDED,
    pb.EPIC_STATE_FAILED,
    pb.EPIC_STATE_CONFLICTED,
    pb.EPIC_STATE_SKIPPED,
    pb.EPIC_STATE_CANCELLED,
    pb.EPIC_STATE_DROPPED,
)

# A task in one of these states keeps its epic open.
OPEN_TASK: Final = (pb.TASK_STATE_PENDING, pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING)

RUN_OUTCOME: Final = {
    pb.RUN_STATE_SUCCEEDED: pb.OUTCOME_SUCCEEDED,
    pb.RUN_STATE_FAILED: pb.OUTCOME_FAILED,
    pb.RUN_STATE_CANCELLED: pb.OUTCOME_CANCELLED,
}

EPIC_OUTCOME: Final = {
    pb.EPIC_STATE_SUCCEEDED: pb.OUTCOME_SUCCEEDED,
    pb.EPIC_STATE_FAILED: pb.OUTCOME_FAILED,
    pb.EPIC_STATE_CONFLICTED: pb.OUTCOME_CONFLICTED,
    pb.EPIC_STATE_SKIPPED: pb.OUTCOME_SKIPPED,
    pb.EPIC_STATE_CANCELLED: pb.OUTCOME_CANCELLED,
    pb.EPIC_STATE_DROPPED: pb.OUTCOME_DROPPED,
}
