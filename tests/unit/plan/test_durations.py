"""Durations in plan files."""

import pytest

from heddle.plan.values.durations import seconds
from heddle.plan.values.text_rules import MAX_SECONDS


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
    """Every documented form gives the right number of seconds, up to 365 days."""
    assert seconds(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "greater than zero"),
        (-1, "greater than zero"),
        ("0s", "greater than zero"),
        (float("nan"), "greater than zero"),
        (float("inf"), "at most 365 days"),
        (MAX_SECONDS + 1, "at most 365 days"),
        ("366d", "at most 365 days"),
        (True, "use 90s"),
        ("", "use 90s"),
        ("5", "use 90s"),
        ("5 m", "use 90s"),
        ("1m1h", "use 90s"),
        ("1.5h", "use 90s"),
        (None, "use 90s"),
    ],
)
def test_what_is_no_duration_is_refused(value: object, message: str) -> None:
    """Other values are rejected with the valid forms, including numbers of YAML 1.1 only."""
    with pytest.raises(ValueError, match=message):
        seconds(value)
