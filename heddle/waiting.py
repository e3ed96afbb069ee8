"""What stands still until its operator does something: every attention queue tells the same."""

from typing import Final

from heddle import pb

# The newest runs are looked through, besides all that go on.
RUNS_LOOKED_AT: Final = 100

# Hours after which what a run left behind when it ended is history.
RECENT_HOURS: Final = 24

_CALM: Final = frozenset({pb.RUN_STATE_CANCELLED, pb.RUN_STATE_CANCELLING})


def is_recent(run: pb.Run, now: float) -> bool:
    """Says whether a run goes on or ended lately, and not by its operator's wish; `now` in seconds."""
    recent = not run.HasField("end_time") or run.end_time.seconds > now - RECENT_HOURS * 3600
    return recent and run.state not in _CALM


def is_halted(run: pb.Run) -> bool:
    """Says whether a budget or a provider paused the run: the operator's own pause has no reason."""
    return run.state == pb.RUN_STATE_PAUSED and bool(run.reason)


def lacks(run: pb.Run) -> str:
    """Returns what the run's work needs and does not have, so that the operator may have to act; empty if nothing."""
    if run.fault:
        return run.fault
    named: dict[str, list[str]] = {}
    for each in run.unpushed:
        named.setdefault(each.error, []).append(each.branch)
    refused = "; ".join(f"{', '.join(branches)}: {error}" for error, branches in named.items())
    return f"{run.project} did not take {refused}" if refused else ""


def lacks_something(run: pb.Run, now: float) -> bool:
    """Says whether the operator should see what the run lacks; `now` in seconds."""
    return bool(lacks(run)) and is_recent(run, now)


def may_hold_merges(run: pb.Run, now: float) -> bool:
    """Says whether an epic of the run could wait for its operator; `now` in seconds."""
    return run.state != pb.RUN_STATE_SUCCEEDED and is_recent(run, now)


def awaits_merge(epic: pb.Epic) -> bool:
    """Says whether the epic is to be merged by hand, as planned."""
    return epic.state == pb.EPIC_STATE_AWAITING_MERGE


def awaits_operator(epic: pb.Epic) -> bool:
    """Says whether the epic's merge needs the operator: by hand as planned, after a conflict, or as a branch is in the way."""
    return awaits_merge(epic) or is_held(epic) or epic.state == pb.EPIC_STATE_CONFLICTED


def is_held(resource: pb.Epic | pb.Run) -> bool:
    """Says whether a merge waits for a branch that is checked out, moved or gone; it goes on by itself then."""
    return bool(resource.merge_hold)


def merge_reason(epic: pb.Epic) -> str:
    """Returns why such an epic is not merged, as a sentence."""
    files = ", ".join(epic.conflict_files)
    if is_held(epic):
        return epic.merge_hold
    return f"Its merge conflicts in {files}." if files else epic.reason
