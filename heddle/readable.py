"""Formats durations, sizes, money, counts and enum values for terminals, pages and files."""

from google.protobuf.duration_pb2 import Duration

from heddle import pb


def outcome(value: "pb.Outcome.ValueType") -> str:
    """Returns the outcome in lower-case words, or `unknown` if this version does not know it."""
    found = pb.Outcome.DESCRIPTOR.values_by_number.get(value)
    return found.name.removeprefix("OUTCOME_").lower().replace("_", " ") if found else "unknown"


def conflict_side(side: "pb.ConflictSide.ValueType") -> str:
    """Returns what an epic conflicts with, if that is not another epic."""
    return "the project's own branch" if side == pb.CONFLICT_SIDE_UPSTREAM else "what the run has merged"


def moved(move: pb.EpicMove | pb.EpicMoved) -> str:
    """Returns where an epic continues, and why: `moved to w2 after w1 was lost (no retry used)`."""
    return f"moved to {move.to_worker} after {move.reason}"


def waits(reason: str) -> str:
    """Returns what a run waits for, as a line: `waits: worker w1 cannot be reached`, `waiting for a place: …`."""
    return reason if reason.startswith("waiting") else f"waits: {reason}"


def dollars(micros: int) -> str:
    """Returns dollars and cents, or four decimal places for amounts below one cent."""
    return f"${micros / 1e6:.{2 if micros >= 10_000 or not micros else 4}f}"


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


def size(number: int) -> str:
    """Returns bytes as `950 B`, `12.3 kB`, `4.5 MB`, `1.2 GB`."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def count(number: int, noun: str) -> str:
    """Returns the number with its noun, such as `1 task` or `3 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
