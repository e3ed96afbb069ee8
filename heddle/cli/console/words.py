"""Values as people read them: states, money, durations, times."""

import re
from datetime import UTC, datetime
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from heddle.cli.console.safe_output import visible

# Colours, cursor moves, window titles, the clipboard: what a terminal would obey.
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Returns `text` without anything that a terminal would obey; what agents say is not trusted.

    What colours it or moves the cursor is left out; what turns text around is shown as an escape.
    """
    return visible(_CONTROL.sub("", _SEQUENCE.sub("", text)))


def state(resource: pb.Run | pb.Epic | pb.Task | pb.Attempt) -> str:
    """Returns the resource's state as one lower-case word."""
    kind = type(resource).DESCRIPTOR.fields_by_name["state"].enum_type
    assert kind is not None  # noqa: S101 (the state of all four is an enum)
    return kind.values_by_number[resource.state].name.partition("_STATE_")[2].lower().replace("_", " ")


def behind(found: pb.BaseBehind) -> str:
    """Returns what a run's base lacked."""
    commits = f"{found.commits} commit{'' if found.commits == 1 else 's'}"
    return f"{plain(found.branch)} is {commits} behind {plain(found.upstream)}, as last fetched"


def context(summary: pb.SessionSummary) -> str:
    """Returns how full the context of a session's model is."""
    used, window = summary.context_tokens, summary.context_window
    return f"context {used:,} tokens" + (f" of {window:,} ({used / window:.0%})" if window else "")


def outcome(value: "pb.Outcome.ValueType") -> str:
    """Returns the outcome in lower-case words."""
    return pb.Outcome.Name(value).removeprefix("OUTCOME_").lower().replace("_", " ")


def epic_state(value: "pb.EpicState.ValueType") -> str:
    """Returns the state in lower-case words."""
    return pb.EpicState.Name(value).removeprefix("EPIC_STATE_").lower().replace("_", " ")


def holds(worktree: pb.EpicWorktree) -> str:
    """Returns what a worktree holds beside what was accepted; nothing where that is not known."""
    if worktree.state == pb.EPIC_WORKTREE_STATE_ARCHIVED:
        return "archived"
    if not worktree.HasField("dirty"):
        return ""
    return "changes" if worktree.dirty else "nothing new"


def goes(worktree: pb.EpicWorktree, now: datetime) -> str:
    """Returns when a worktree is removed by itself; nothing for one that is archived."""
    if worktree.state == pb.EPIC_WORKTREE_STATE_ARCHIVED:
        return ""
    return moment(worktree.remove_time, now) or "after the run"


def conflict_side(side: "pb.ConflictSide.ValueType") -> str:
    """Returns what an epic conflicts with, where that is no other epic."""
    return "the project's own branch" if side == pb.CONFLICT_SIDE_UPSTREAM else "what the run has merged"


def merge_stage(stage: "pb.MergeStage.ValueType") -> str:
    """Returns the stage as one lower-case word."""
    return pb.MergeStage.Name(stage).removeprefix("MERGE_STAGE_").lower()


def cost(usage: pb.UsageTotals) -> str:
    """Returns dollars and cents; nothing where nothing was used.

    With ≥ where some usage had no price, "unknown" where none had, and with ~ where
    some of it is an estimate.
    """
    if not usage.cost_usd_micros:
        return "unknown" if usage.cost_incomplete else ""
    marks = f"{'≥ ' if usage.cost_incomplete else ''}{'~' if usage.estimated_usd_micros else ''}"
    return f"{marks}{dollars(usage.cost_usd_micros)}"


def dollars(micros: int) -> str:
    """Returns dollars and cents, and four digits where that would hide the sum."""
    return f"${micros / 1e6:.{2 if micros >= 10_000 or not micros else 4}f}"


def tokens(number: int) -> str:
    """Returns `950`, `12.3k` or `4.5M`; nothing for none."""
    if number < 1000:
        return str(number or "")
    return f"{number / 1000:.1f}k" if number < 999_950 else f"{number / 1e6:.1f}M"


def span(value: Duration | float) -> str:
    """Returns `0.3s`, `42s`, `5m 02s`, `3h 07m` or `13d 04h`."""
    seconds = value if isinstance(value, float | int) else value.seconds + value.nanos / 1e9
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    if minutes < 48 * 60:
        return f"{minutes // 60}h {minutes % 60:02}m"
    return f"{minutes // (24 * 60)}d {minutes // 60 % 24:02}h"


def elapsed(start: Timestamp, end: Timestamp, now: datetime) -> str:
    """Returns how long something took, or has taken until `now`; nothing if it has not begun."""
    if not start.seconds:
        return ""
    until = end.ToDatetime(UTC) if end.seconds else now
    return span(max(0.0, (until - start.ToDatetime(UTC)).total_seconds()))


def remaining(end: Timestamp, now: datetime) -> str:
    """Returns how long it is until `end`; nothing where there is no end."""
    if not end.seconds:
        return ""
    return span(max(0.0, (end.ToDatetime(UTC) - now).total_seconds()))


def moment(time: Timestamp, now: datetime) -> str:
    """Returns `in 13d 04h`, or `soon` for a time that has come; nothing where there is none."""
    if not time.seconds:
        return ""
    return f"in {remaining(time, now)}" if time.ToDatetime(UTC) > now else "soon"


def size(number: int) -> str:
    """Returns bytes as `950 B`, `12.3 kB`, `4.5 MB`, `1.2 GB`."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def clock(time: Timestamp) -> str:
    """Returns the local time of day."""
    return f"{time.ToDatetime(UTC).astimezone():%H:%M:%S}"


def count(number: int, noun: str) -> str:
    """Returns `1 task`, `3 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
