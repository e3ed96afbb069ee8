"""When a schedule is due, and what happens then. Pure; all times are microseconds since 1970 (UTC).

Times follow Debian's cron: a fixed time that the clocks skip is due right after the change, and one that they repeat
is due once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from heddle import pb
from heddle.errors import invalid_field

# A time that passed longer ago was missed.
LATE: Final = 300 * 1_000_000

_MINUTE: Final = 60 * 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# Longer expressions and names are no use, and slow to reject.
_LONGEST: Final = 200


@dataclass(frozen=True)
class Due:
    """A schedule that is due."""

    cron: str
    zone: str
    overlap: "pb.OverlapPolicy.ValueType"
    missed: "pb.MissedPolicy.ValueType"
    next_at: int
    queued: bool = False
    # The run that it started last, if it has not ended. Empty: none.
    running: str = ""


@dataclass(frozen=True)
class Step:
    """What a schedule does at a time."""

    # The time for which it starts a run. None: it starts none.
    start: int | None
    # When it is due next. None: never again.
    next_at: int | None
    queued: bool = False
    # Why it starts none. Empty: it starts one, or waits for its last run.
    problem: str = ""


def check(cron: str, zone: str) -> None:
    """Raises INVALID_FIELD unless both are valid, and the schedule will be due."""
    if len(cron) > _LONGEST or len(cron.split()) != 5:
        raise invalid_field("cron", "takes five fields: minute, hour, day of month, month, day of week")
    try:
        place = ZoneInfo(zone) if 0 < len(zone) <= _LONGEST else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        place = None
    if place is None:
        raise invalid_field(
            "time_zone", f"{zone!r} is not a time zone; use a name such as Europe/Berlin or UTC"
        )
    try:
        first = next(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise invalid_field("cron", f"{cron!r} is not valid: {error}") from error
    if first is None:
        raise invalid_field("cron", f"{cron!r} is never due")


def next_after(cron: str, zone: str, now: int) -> int | None:
    """Returns the first time after `now`; None if there is none in the next 50 years."""
    found = next(CronSim(cron, _local(now, zone)), None)
    return None if found is None else _micros(found)


def step(due: Due, now: int) -> Step | None:
    """Returns what a schedule does at `now`; None if it waits for its next time or its last run."""
    if now < due.next_at:
        return None
    following = next_after(due.cron, due.zone, now)
    time = _newest(due, now)
    if now - time > LATE and not due.queued and due.missed != pb.MISSED_POLICY_RUN_ONCE:
        return Step(None, following, problem=f"the time {_text(time)} was missed: no scheduler was running")
    if due.running and due.overlap == pb.OVERLAP_POLICY_QUEUE:
        return None if due.queued else Step(None, due.next_at, queued=True)
    if due.running and due.overlap != pb.OVERLAP_POLICY_ALLOW:
        return Step(None, following, problem=f"{_text(time)} was skipped: {due.running} had not ended")
    return Step(time, following)


def _newest(due: Due, now: int) -> int:
    """Returns the newest due time up to `now`."""
    # Depending on its version, the library searches from the given time or from the minute before it.
    times = map(_micros, CronSim(due.cron, _local(now + _MINUTE, due.zone), reverse=True))
    return max(due.next_at, next((time for time in times if time <= now), due.next_at))


def _local(time: int, zone: str) -> datetime:
    return (_EPOCH + timedelta(microseconds=time)).astimezone(ZoneInfo(zone))


def _micros(time: datetime) -> int:
    return (time.astimezone(UTC) - _EPOCH) // _MICROSECOND


def _text(time: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=time):%Y-%m-%d %H:%M} UTC"
