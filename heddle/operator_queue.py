"""The shared rules for what needs the operator's attention."""

from typing import Final

from heddle import pb

# How many of the newest ended runs are examined, in addition to all active ones.
RUNS_LOOKED_AT: Final = 100

# Hours after its end during which a run can still need attention.
RECENT_HOURS: Final = 24

_CALM: Final = frozenset({pb.RUN_STATE_CANCELLED, pb.RUN_STATE_CANCELLING})


def is_recent(run: pb.Run, now: float) -> bool:
    """Returns whether a run is active or ended recently, but was not cancelled; `now` in seconds."""
    recent = not run.HasField("end_time") or run.end_time.seconds > now - RECENT_HOURS * 3600
    return recent and run.state not in _CALM


def is_halted(run: pb.Run) -> bool:
    """Returns whether a budget or a provider paused the run; a pause by the operator has no reason."""
    return run.state == pb.RUN_STATE_PAUSED and bool(run.reason)


def lacks(run: pb.Run) -> str:
    """Returns the fault or the failed pushes that the operator may have to resolve; empty if there are none."""
    if run.fault:
        return run.fault
    named: dict[str, list[str]] = {}
    for each in run.unpushed:
        named.setdefault(each.error, []).append(each.branch)
    refused = "; ".join(f"{', '.join(branches)}: {error}" for error, branches in named.items())
    return f"{run.project} rejected the push of {refused}" if refused else ""


def lacks_something(run: pb.Run, now: float) -> bool:
    """Returns whether the run has a fault or failed push that needs attention; `now` in seconds."""
    return bool(lacks(run)) and is_recent(run, now)


def may_hold_merges(run: pb.Run, now: float) -> bool:
    """Returns whether an epic of the run may wait for the operator; `now` in seconds."""
    return run.state != pb.RUN_STATE_SUCCEEDED and is_recent(run, now)


def awaits_merge(epic: pb.Epic) -> bool:
    """Returns whether the epic waits for a manual merge, as planned."""
    return epic.state == pb.EPIC_STATE_AWAITING_MERGE


def awaits_operator(epic: pb.Epic) -> bool:
    """Returns whether the epic needs the operator: a manual, conflicted or held merge, a used-up budget, or a sync."""
    conflicts = epic.state == pb.EPIC_STATE_CONFLICTED or is_out_of_sync(epic)
    return awaits_merge(epic) or is_held(epic) or is_over_budget(epic) or conflicts


def is_out_of_sync(epic: pb.Epic) -> bool:
    """Returns whether new commits of the project's branch conflict with the epic, so that no task of it starts."""
    return epic.sync.state == pb.SYNC_STATE_HELD


def is_over_budget(epic: pb.Epic) -> bool:
    """Returns whether a used-up budget of the epic or of its tasks keeps it from continuing."""
    return epic.HasField("budget_hold")


def is_held(resource: pb.Epic | pb.Run) -> bool:
    """Returns whether a merge waits for a branch that is checked out, moved or gone; resumes automatically."""
    return bool(resource.merge_hold)


def merge_reason(epic: pb.Epic) -> str:
    """Returns why an epic that awaits the operator does not continue, as a sentence."""
    if is_over_budget(epic):
        return epic.budget_hold.reason
    if is_out_of_sync(epic):
        return epic.sync.reason
    files = ", ".join(epic.conflict_files)
    if is_held(epic):
        return epic.merge_hold
    return f"Its merge conflicts in {files}." if files else epic.reason
