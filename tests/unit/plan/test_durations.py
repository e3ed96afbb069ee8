"""Lengths of time in plan files."""

import pytest

from heddle.plan.durations import seconds
from heddle.plan.text_rules import MAX_SECONDS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("90s", 90),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1d1h1m1s", 90_061),
        (7, 7),
        (0.25, 0.25),
        (MAX_SECONDS, MAX_SECONDS),
        ("365d", MAX_SECONDS),
    ],
)
def test_a_duration_is_its_seconds(value: object, expected: float) -> None:
    """Every documented form gives the seconds that it says, up to 365 days."""
    assert seconds(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "more than zero"),
        (-1, "more than zero"),
        ("0s", "more than zero"),
        (float("nan"), "more than zero"),
        (float("inf"), "at most 365 days"),
        (MAX_SECONDS + 1, "at most 365 days"),
        ("366d", "at most 365 days"),
        (True, "write 90s"),
        ("", "write 90s"),
        ("5", "write 90s"),
        ("5 m", "write 90s"),
        ("1m1h", "write 90s"),
        ("1.5h", "write 90s"),
        (None, "write 90s"),
    ],
)
def test_what_is_no_duration_is_refused(value: object, message: str) -> None:
    """Anything else is refused with what it may be, also what is no number though YAML calls it one."""
    with pytest.raises(ValueError, match=message):
        seconds(value)
