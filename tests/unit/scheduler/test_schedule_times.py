"""When schedules are due, across changes of the clocks, and what they do then."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.model.schedule_times import LATE, Due, Step, check, next_after, step

BERLIN = "Europe/Berlin"
HOUR = 3_600_000_000
MINUTE = 60_000_000


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def local(time: int | None, zone: str) -> str:
    assert time is not None
    return datetime.fromtimestamp(time / 1e6, ZoneInfo(zone)).isoformat()


def due(**changes: Any) -> Due:
    """Returns a schedule that is due every hour, since 12:00 UTC."""
    fields: dict[str, Any] = {
        "cron": "0 * * * *",
        "zone": "UTC",
        "overlap": pb.OVERLAP_POLICY_SKIP,
        "missed": pb.MISSED_POLICY_SKIP,
        "next_at": NOON,
    }
    return Due(**(fields | changes))


NOON = at("2026-06-01T12:00")


@pytest.mark.parametrize(
    ("cron", "now", "times"),
    [
        # 02:30 does not exist on the first of these days: due right after the change.
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        # 02:30 exists twice: due once.
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        # A time of every hour is due in both.
        ("30 * * * *", "2026-10-25T02:00", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]),
        ("0 9 * * MON", "2026-10-24T12:00", ["2026-10-26T09:00:00+01:00", "2026-11-02T09:00:00+01:00"]),
    ],
)
def test_times_follow_the_clocks_of_the_zone(cron: str, now: str, times: list[str]) -> None:
    """A schedule at 9 is due at 9 in summer and winter; changes of the clocks neither lose nor repeat a time."""
    time = at(now, BERLIN)
    for expected in times:
        time = next_after(cron, BERLIN, time) or 0
        assert local(time, BERLIN) == expected


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("0 3 * *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("0 0 31 2 *", "UTC", "cron"),
        ("0 " * 200, "UTC", "cron"),
        ("0 3 * * *", "Mars/Base", "time_zone"),
        ("0 3 * * *", "../etc/passwd", "time_zone"),
        ("0 3 * * *", "", "time_zone"),
    ],
)
def test_a_schedule_that_could_not_be_due_is_refused(cron: str, zone: str, field: str) -> None:
    """The error names the field."""
    with pytest.raises(HeddleError) as caught:
        check(cron, zone)
    assert caught.value.reason == pb.ERROR_REASON_INVALID_FIELD
    assert [each.field for each in caught.value.violations] == [field]


def test_a_valid_schedule_is_accepted() -> None:
    """Names of days, steps and ranges are valid."""
    check("*/15 8-18 * * MON-FRI", BERLIN)


def test_a_day_of_a_leap_year_is_due() -> None:
    """Also if it is years away."""
    check("0 0 29 2 *", "UTC")


@pytest.mark.parametrize(("late", "missed"), [(300_000_000, False), (300_000_001, True)])
def test_a_time_is_missed_after_five_minutes(late: int, missed: bool) -> None:
    """Up to then, a schedule starts its run late."""
    found = step(due(), NOON + late)
    assert found is not None
    assert found.start == (None if missed else NOON)
    assert "was missed" in found.problem if missed else not found.problem
    assert not found.queued


def test_the_newest_time_is_that_of_this_minute() -> None:
    """A time that comes within the next minute has not come: a run starts for the same time whenever it is tried."""
    every_minute = due(cron="* * * * *", missed=pb.MISSED_POLICY_RUN_ONCE)
    for now, newest in ((NOON, 0), (NOON + 59_999_999, 0), (NOON + 60_000_000, 1), (NOON + 119_999_999, 1)):
        found = step(every_minute, now)
        assert found is not None
        assert found.start == NOON + newest * 60_000_000
        assert found.next_at == NOON + (newest + 1) * 60_000_000


def test_nothing_happens_before_the_time() -> None:
    """A microsecond before, it is not due; at the time, it starts for that time."""
    assert step(due(), NOON - 1) is None
    assert step(due(), NOON) == Step(NOON, NOON + HOUR)


def test_several_times_are_one_run() -> None:
    """After a while, a run starts for the newest time only."""
    assert step(due(), NOON + 2 * HOUR + MINUTE) == Step(NOON + 2 * HOUR, NOON + 3 * HOUR)


def test_missed_times_are_skipped_or_run_once() -> None:
    """A time is missed if it passed more than five minutes ago."""
    assert step(due(), NOON + LATE) == Step(NOON, NOON + HOUR)
    late = NOON + LATE + 1
    skipped = step(due(), late)
    assert skipped is not None
    assert (skipped.start, skipped.next_at) == (None, NOON + HOUR)
    assert skipped.problem == "the time 2026-06-01 12:00 UTC was missed: no scheduler was running"
    once = due(missed=pb.MISSED_POLICY_RUN_ONCE)
    assert step(once, NOON + 3 * HOUR + 30 * MINUTE) == Step(NOON + 3 * HOUR, NOON + 4 * HOUR)


def test_a_run_that_has_not_ended_skips_queues_or_allows() -> None:
    """A queued time waits, however late, and starts one run for the newest time when the last run has ended."""
    skipped = step(due(running="runs/r"), NOON)
    assert skipped == Step(
        None, NOON + HOUR, problem="2026-06-01 12:00 UTC was skipped: runs/r had not ended"
    )
    assert step(due(running="runs/r", overlap=pb.OVERLAP_POLICY_ALLOW), NOON) == Step(NOON, NOON + HOUR)
    queue = due(running="runs/r", overlap=pb.OVERLAP_POLICY_QUEUE)
    assert step(queue, NOON) == Step(None, NOON, queued=True)
    waiting = due(running="runs/r", overlap=pb.OVERLAP_POLICY_QUEUE, queued=True)
    assert step(waiting, NOON + 5 * HOUR) is None
    ended = due(overlap=pb.OVERLAP_POLICY_QUEUE, queued=True)
    late = NOON + 90 * MINUTE
    assert step(ended, late) == Step(NOON + HOUR, NOON + 2 * HOUR)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["*/7 * * * *", "0 3 * * *", "30 2 * * SUN", "0 0 1 * *"]),
    st.sampled_from(["UTC", BERLIN, "America/New_York", "Asia/Kolkata"]),
    st.integers(at("2026-01-01T00:00"), at("2027-01-01T00:00")),
    st.integers(0, 40 * 24 * HOUR),
)
def test_no_time_is_run_twice_or_in_the_future(cron: str, zone: str, began: int, passed: int) -> None:
    """Whenever a scheduler looks, the time that it starts is due by then, and the next one comes later."""
    first = next_after(cron, zone, began)
    assert first is not None
    found = step(due(cron=cron, zone=zone, next_at=first, missed=pb.MISSED_POLICY_RUN_ONCE), first + passed)
    assert found is not None
    assert found.start is not None
    assert found.next_at is not None
    assert first <= found.start <= first + passed < found.next_at
    assert found.next_at == next_after(cron, zone, first + passed)
    # Nothing is due between the two.
    assert next_after(cron, zone, found.start) == found.next_at
