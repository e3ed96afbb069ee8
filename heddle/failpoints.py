"""Points at which a test can kill the process; no data may be lost at any of them.

Inert unless HEDDLE_FAILPOINT names a point, such as "accept.before_commit" or, for the third
time that it is reached, "ingest.after_commit:3". Then the process kills itself with SIGKILL there.
"""

import os
import signal
import threading
from collections.abc import Iterable
from itertools import product
from typing import Final


def _around(event: str, names: Iterable[str]) -> list[str]:
    return [f"{name}.{when}_{event}" for name, when in product(names, ("before", "after"))]


# The leader's transactions, by name.
COMMITS: Final = (
    "act",
    "act_on",
    "append",
    "record_worktree",
    "keep_artifact",
    "ingest",
    "accept",
    "submit",
    "finish_review",
    "accept_reviewed",
    "accept_candidate",
    "pass_candidate",
    "finish_comparison",
    "review_not_answered",
    "fail",
    "hand_over",
    "park",
    "suspend",
    "hold_epic",
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
    "advance_schedule",
    "end_request",
    "forget_requests",
    "mark_expired",
    "prune_audit",
    "leave_claims",
    "remote_refs_removed",
    "record_forecast",
    "record_base",
    "lose_place",
    "stay",
    "skip_place",
)

# Calls of the scheduler to a worker.
CALLS: Final = (
    "GetWorker",
    "InspectProject",
    "GrantRepository",
    "EnsureWorktree",
    "StartSession",
    "WatchSession",
    "GetSession",
    "StopSession",
    "ListSessions",
    "ParkSession",
    "CommitTask",
    "DiscardAttempt",
    "DiffRevisions",
    "PredictConflicts",
    "CountNewCommits",
    "MergeBranch",
    "OpenMerge",
    "RunChecks",
    "CloseMerge",
    "PushBranches",
    "RemoveRemoteRefs",
    "ReadConflict",
    "MakeResolution",
    "RemoveWorktree",
    "ReleaseLease",
    "RestoreWorktree",
    "ListWorktrees",
    "ReleaseSession",
    "DeleteSessions",
    "AnswerApproval",
    "SendMessage",
)

# Changes of worktree_svc to a repository and to its stored state.
MOVES: Final = (
    "commit_task",
    "submit_task",
    "accept_submitted",
    "keep",
    "archive",
    "reset",
    "rewind",
    "take_in",
    "start_candidate",
    "merge",
    "remove",
)
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
    "settle.after_take",
    "settle.before_keep",
    "claim.after_push",
)

# Disk writes of agent_svc; worktree_svc also writes the fence.
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
    """Arms the failpoint, at the pass, that `setting` names; "" disarms."""
    global _armed, _left
    name, _, nth = setting.partition(":")
    if name and name not in NAMES:
        raise SystemExit(f"HEDDLE_FAILPOINT is not a known failpoint: {name}")
    _armed, _left = name, int(nth or 1)


def failpoint(name: str) -> None:
    """Ends this process if this point, at this pass, is the armed one."""
    if name != _armed:
        return
    global _left  # noqa: PLW0603 (one armed failpoint per process)
    with _mutex:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("HEDDLE_FAILPOINT", ""))
