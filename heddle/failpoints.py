"""Places at which a test kills the process that passes them: nothing may be lost at any.

Inert unless HEDDLE_FAILPOINT names a place, as in "accept.before_commit" or, for the third
time that it is passed, "ingest.after_commit:3". Then the process ends by SIGKILL right there.
"""

import os
import signal
import threading
from collections.abc import Iterable
from itertools import product
from typing import Final


def _around(event: str, names: Iterable[str]) -> list[str]:
    return [f"{name}.{when}_{event}" for name, when in product(names, ("before", "after"))]


# The leader's transactions, by the names that the leader gives them.
COMMITS: Final = (
    "act",
    "act_on",
    "append",
    "record_worktree",
    "ingest",
    "accept",
    "fail",
    "park",
    "suspend",
    "record_merge_check",
    "record_merged",
    "record_conflict",
    "record_merge_failure",
    "record_fault",
    "record_recovery",
    "clear_fault",
    "record_merge_hold",
    "removed",
    "released",
    "restored",
    "end_request",
    "forget_requests",
    "prune_logs",
    "record_forecast",
)

# What the scheduler asks of a worker.
CALLS: Final = (
    "GetWorker",
    "InspectProject",
    "EnsureWorktree",
    "StartSession",
    "WatchSession",
    "GetSession",
    "StopSession",
    "ParkSession",
    "CommitTask",
    "DiscardAttempt",
    "PredictConflicts",
    "MergeBranch",
    "OpenMerge",
    "RunChecks",
    "CloseMerge",
    "PushBranches",
    "RemoveWorktree",
    "ReleaseLease",
    "RestoreWorktree",
    "ListWorktrees",
    "ReleaseSession",
    "DeleteSessions",
    "AnswerApproval",
    "SendMessage",
)

# What worktree_svc changes in a repository, and in what it remembers of it.
MOVES: Final = ("commit_task", "keep", "archive", "reset", "rewind", "merge", "remove")
STEPS: Final = (
    "ensure.after_claim",
    "keep.after_state",
    "archive.after_state",
    "write.before_index",
    "create.before_add",
    "create.after_add",
    "reset.before_clean",
    "reset.after_clean",
    "ensure.before_provide",
    "ensure.before_owner",
    "ensure.after_owner",
    "commit_task.before_state",
    "commit_task.after_state",
    "discard.after_state",
    "remove.after_forget",
    "remove.before_state",
    "restore.after_claim",
    "restore.before_files",
    "restore.before_state",
    "restore.after_state",
    "release.before_state",
    "open_merge.after_state",
    "open_merge.after_layout",
    "close_merge.before_remove",
    "close_merge.after_forget",
)

# What agent_svc puts on disk; the fence is worktree_svc's as well.
SYNCS: Final = ("events", "reserve", "spec", "artifact", "agent", "result", "said", "fence")

NAMES: Final = frozenset(
    [
        *_around("commit", COMMITS),
        *_around("call", CALLS),
        *_around("move", MOVES),
        *STEPS,
        *_around("sync", SYNCS),
    ]
)

_mutex = threading.Lock()
_armed = ""
_left = 1


def arm(setting: str) -> None:
    """Makes this process end at the place, and the time, that `setting` names; "" names none."""
    global _armed, _left
    name, _, nth = setting.partition(":")
    if name and name not in NAMES:
        raise SystemExit(f"HEDDLE_FAILPOINT names no place: {name}")
    _armed, _left = name, int(nth or 1)


def failpoint(name: str) -> None:
    """Ends this process if it is the place, and the time, that was armed."""
    if name != _armed:
        return
    global _left  # noqa: PLW0603 (one process, one place)
    with _mutex:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("HEDDLE_FAILPOINT", ""))
