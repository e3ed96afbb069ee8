"""Decides whether an epic whose tasks have ended is merged, waits for its operator, or ends. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from heddle import pb
from scheduler_svc.policy.actions import Action, AwaitMerge, FinishEpic, MergeEpic, ResolveConflict
from scheduler_svc.policy.snapshot import EpicView

# After this many resolve tasks without success, the conflict is left to the operator.
MAX_RESOLUTIONS: Final = 2


class Cause(NamedTuple):
    """Why an epic's pending tasks will not run."""

    reason: str
    cancelled: bool = False
    # True: the epic's live attempt is stopped too.
    stops: bool = False


def closed(epic: EpicView, cause: Cause | None, *, connected: bool) -> Iterator[Action]:
    """Yields the merge, the reaction to a conflict, the wait for the operator, or the end."""
    cancelled = cause is not None and cause.cancelled
    if epic.merged or cancelled or not _mergeable(epic) or epic.merge == pb.MERGE_POLICY_OFF:
        yield _finished(epic, cause)
    elif epic.conflict:
        tried = sum(task.resolves for task in epic.tasks)
        if epic.on_conflict == pb.ON_CONFLICT_AGENT and tried < MAX_RESOLUTIONS:
            yield ResolveConflict(epic.name)
        else:
            yield FinishEpic(epic.name, pb.EPIC_STATE_CONFLICTED, epic.conflict)
    elif epic.merge == pb.MERGE_POLICY_MANUAL and not epic.merge_wanted:
        if epic.state != pb.EPIC_STATE_AWAITING_MERGE:
            yield AwaitMerge(epic.name)
    elif connected:
        yield MergeEpic(epic.name)


def _mergeable(epic: EpicView) -> bool:
    """Returns whether an epic whose tasks have ended must be merged into the run's branch."""
    counts = _counts(epic)
    if not counts[pb.TASK_STATE_ACCEPTED] or _missing(epic) or epic.rewinds:
        return False
    stops = epic.on_failure in {pb.ON_FAILURE_STOP_EPIC, pb.ON_FAILURE_STOP_RUN}
    return not (stops and counts[pb.TASK_STATE_FAILED])


def _finished(epic: EpicView, cause: Cause | None) -> FinishEpic:
    counts = _counts(epic)
    whole = (epic.merged or epic.merge == pb.MERGE_POLICY_OFF) and not epic.rewinds
    if whole and all(task.waived or task.state == pb.TASK_STATE_ACCEPTED for task in epic.tasks):
        return FinishEpic(epic.name, pb.EPIC_STATE_SUCCEEDED)
    if all(task.waived for task in epic.tasks):
        return FinishEpic(epic.name, pb.EPIC_STATE_SKIPPED, "all of its tasks were skipped")
    if epic.setup_failure and not (cause and cause.cancelled):
        return FinishEpic(epic.name, pb.EPIC_STATE_FAILED, epic.setup_failure)
    reason = cause.reason if cause else ""
    if not any(task.attempts for task in epic.tasks):
        return FinishEpic(epic.name, pb.EPIC_STATE_SKIPPED, reason or "none of its tasks was to run")
    if cause and cause.cancelled:
        return FinishEpic(epic.name, pb.EPIC_STATE_CANCELLED, reason)
    failed = counts[pb.TASK_STATE_FAILED]
    skipped = _missing(epic)
    parts = [f"{failed} of {plural(len(epic.tasks), 'task')} failed"] if failed else []
    if skipped:
        parts.append(f"{skipped} of {plural(len(epic.tasks), 'task')} did not run")
    if epic.rewinds:
        parts.append("its branch still holds what was set aside: retry a task of it")
    if reason and not failed:
        parts.append(reason)
    return FinishEpic(epic.name, pb.EPIC_STATE_FAILED, "; ".join(parts))


def _counts(epic: EpicView) -> Counter["pb.TaskState.ValueType"]:
    return Counter(task.state for task in epic.tasks)


def _missing(epic: EpicView) -> int:
    """Returns how many tasks did not run and were not skipped by the operator."""
    over = {pb.TASK_STATE_PENDING, pb.TASK_STATE_SKIPPED}
    return sum(task.state in over and not task.waived for task in epic.tasks)


def plural(count: int, word: str) -> str:
    """Returns `1 task`, `3 tasks`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
