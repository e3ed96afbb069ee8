"""Values in readable form: states, money, durations, times."""

import re
from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb, readable
from heddle.cli.console.safe_output import visible

# Re-exported, so that commands need only this module; the web app and event descriptions use these too.
conflict_side = readable.conflict_side
count = readable.count
dollars = readable.dollars
moved = readable.moved
outcome = readable.outcome
size = readable.size
span = readable.span
waits = readable.waits

# Terminal control sequences: colors, cursor moves, window titles, the clipboard.
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Returns `text` without terminal control sequences; output of agents is not trusted.

    Colors and cursor moves are removed; characters that reverse text are shown as escapes.
    """
    return visible(_CONTROL.sub("", _SEQUENCE.sub("", text)))


def state(resource: pb.Run | pb.Epic | pb.Task | pb.Attempt) -> str:
    """Returns the resource's state as one lower-case word."""
    kind = type(resource).DESCRIPTOR.fields_by_name["state"].enum_type
    assert kind is not None  # noqa: S101 (for mypy: the state of all four is an enum)
    return kind.values_by_number[resource.state].name.partition("_STATE_")[2].lower().replace("_", " ")


def behind(found: pb.BaseBehind) -> str:
    """Returns how far the base of a run is behind its upstream."""
    commits = count(found.commits, "commit")
    return f"{plain(found.branch)} is {commits} behind {plain(found.upstream)}, as last fetched"


def context(summary: pb.SessionSummary) -> str:
    """Returns how full the context of a session's model is."""
    used, window = summary.context_tokens, summary.context_window
    return f"context {used:,} tokens" + (f" of {window:,} ({used / window:.0%})" if window else "")


def epic_state(value: "pb.EpicState.ValueType") -> str:
    """Returns the state in lower-case words."""
    return pb.EpicState.Name(value).removeprefix("EPIC_STATE_").lower().replace("_", " ")


def holds(worktree: pb.EpicWorktree) -> str:
    """Returns what a worktree contains besides accepted work; empty if unknown."""
    if worktree.state == pb.EPIC_WORKTREE_STATE_ARCHIVED:
        return "archived"
    if not worktree.HasField("dirty"):
        return ""
    return "changes" if worktree.dirty else "nothing new"


def goes(worktree: pb.EpicWorktree, now: datetime) -> str:
    """Returns when a worktree will be removed; empty for an archived one."""
    if worktree.state == pb.EPIC_WORKTREE_STATE_ARCHIVED:
        return ""
    return moment(worktree.remove_time, now) or "after the run"


def worker_state(worker: pb.Worker) -> str:
    """Returns whether a worker takes work, as one or two words."""
    if not worker.connected:
        return "unreachable"
    if worker.draining:
        return "draining" if worker.running_sessions else "drained"
    return "full" if worker.full else "ready"


def merge_stage(stage: "pb.MergeStage.ValueType") -> str:
    """Returns the stage as one lower-case word."""
    return pb.MergeStage.Name(stage).removeprefix("MERGE_STAGE_").lower()


def cost(usage: pb.UsageTotals) -> str:
    """Returns dollars and cents; empty if there was no usage.

    Marked with ≥ if some usage has no price, "unknown" if none has, and with ~ if part
    of it is an estimate.
    """
    if not usage.cost_usd_micros:
        return "unknown" if usage.cost_incomplete else ""
    marks = f"{'≥ ' if usage.cost_incomplete else ''}{'~' if usage.estimated_usd_micros else ''}"
    return f"{marks}{dollars(usage.cost_usd_micros)}"


def tokens(number: int) -> str:
    """Returns `950`, `12.3k` or `4.5M`; empty for zero."""
    if number < 1000:
        return str(number or "")
    return f"{number / 1000:.1f}k" if number < 999_950 else f"{number / 1e6:.1f}M"


def elapsed(start: Timestamp, end: Timestamp, now: datetime) -> str:
    """Returns how long something took, or has taken until `now`; empty if it has not started."""
    if not start.seconds:
        return ""
    until = end.ToDatetime(UTC) if end.seconds else now
    return span(max(0.0, (until - start.ToDatetime(UTC)).total_seconds()))


def remaining(end: Timestamp, now: datetime) -> str:
    """Returns the time until `end`; empty without an end."""
    if not end.seconds:
        return ""
    return span(max(0.0, (end.ToDatetime(UTC) - now).total_seconds()))


def moment(time: Timestamp, now: datetime) -> str:
    """Returns `in 13d 04h`, or `soon` for a time in the past; empty without a time."""
    if not time.seconds:
        return ""
    return f"in {remaining(time, now)}" if time.ToDatetime(UTC) > now else "soon"


def date_and_time(time: Timestamp) -> str:
    """Returns a time with its date, in the time zone of this machine."""
    return f"{time.ToDatetime(UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def clock(time: Timestamp) -> str:
    """Returns the local time of day."""
    return f"{time.ToDatetime(UTC).astimezone():%H:%M:%S}"
