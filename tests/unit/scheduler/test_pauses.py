"""How long work waits after a failure."""

import pytest

from heddle import pb
from scheduler_svc.policy.pauses import (
    MAX_OUTAGES,
    MAX_PROBES,
    OUTAGES,
    PROBE,
    failed_at_once,
    hold_seconds,
    retry_seconds,
)

RATE_LIMITED = pb.OUTCOME_RATE_LIMITED
UNAVAILABLE = pb.OUTCOME_PROVIDER_UNAVAILABLE


def test_pauses_grow_to_a_limit() -> None:
    """Each consecutive failure doubles the pause, up to a quarter of an hour."""
    seconds = [hold_seconds(RATE_LIMITED, failures, None) for failures in (1, 2, 3, 4, 7, 8, 10_000)]
    assert seconds == [10, 20, 40, 80, 640, 900, 900]
    assert [hold_seconds(UNAVAILABLE, failures, None) for failures in (1, 2)] == [10, 20]


@pytest.mark.parametrize(
    ("failures", "wish", "seconds"),
    [(1, 3600, 3600), (1, 1, 10), (4, 1, 80), (1, -5, 10), (1, 5 * 86400, 5 * 86400), (1, 1e9, 8 * 86400)],
)
def test_the_providers_wish_counts(failures: int, wish: float, seconds: float) -> None:
    """A requested pause applies if it is longer than the computed one, up to just over a week."""
    assert hold_seconds(RATE_LIMITED, failures, wish) == seconds


def test_some_outages_need_a_person() -> None:
    """Login and credit need the operator immediately, an outage after ten minutes, a limit never."""
    assert hold_seconds(pb.OUTCOME_UNAUTHORIZED, 1, 5) is None
    assert hold_seconds(pb.OUTCOME_OUT_OF_CREDIT, 1, None) is None
    assert hold_seconds(UNAVAILABLE, MAX_PROBES, None) is None
    before = sum(hold_seconds(UNAVAILABLE, failures, None) or 0 for failures in range(1, MAX_PROBES))
    assert 600 <= before <= 900
    assert hold_seconds(RATE_LIMITED, 10_000, None) is not None
    assert pb.OUTCOME_FAILED not in OUTAGES


def test_failures_at_once_are_spaced_out() -> None:
    """A failure within seconds waits a second, and each further one twice as long, up to a minute."""
    assert [retry_seconds(quick) for quick in (0, 1, 2, 3, 7, 10_000)] == [0, 1, 2, 4, 60, 60]
    assert [failed_at_once(seconds) for seconds in (0.01, 9.9, 10)] == [True, True, False]


def test_bounds_of_pauses() -> None:
    """The seventh outage in a row needs the operator, and all kinds of outages count as such."""
    assert MAX_PROBES == 7
    assert hold_seconds(UNAVAILABLE, 6, None) == 320
    assert MAX_OUTAGES == 20
    assert PROBE == 60.0
    assert {RATE_LIMITED, UNAVAILABLE, pb.OUTCOME_UNAUTHORIZED, pb.OUTCOME_OUT_OF_CREDIT} == OUTAGES
    assert hold_seconds(RATE_LIMITED, 1, 8 * 86_400 - 1) == 8 * 86_400 - 1
