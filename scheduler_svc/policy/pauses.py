"""Computes how long work waits after a failure before a retry. Part of the policy; pure."""

from typing import Final

from heddle import pb

# The model's provider is unavailable. The task has not failed: it uses no retry, and continues with its
# session and files.
OUTAGES: Final = frozenset(
    {
        pb.OUTCOME_RATE_LIMITED,
        pb.OUTCOME_UNAUTHORIZED,
        pb.OUTCOME_OUT_OF_CREDIT,
        pb.OUTCOME_PROVIDER_UNAVAILABLE,
    }
)

# Faults that do not resolve without the operator.
_NEEDS_OPERATOR: Final = frozenset({pb.OUTCOME_UNAUTHORIZED, pb.OUTCOME_OUT_OF_CREDIT})

# Seconds that a provider is on hold: the first time, then doubled each time up to the maximum.
_FIRST: Final = 10.0
_LAST: Final = 15 * 60.0
# The longest hold that a provider may request: limits of subscriptions last up to a week.
_LONGEST: Final = 8 * 24 * 3600.0

# An outage of this many attempts in a row (over ten minutes) may not resolve by itself.
MAX_PROBES: Final = 7

# How many sessions of a task in a row may lose their provider after making progress.
MAX_OUTAGES: Final = 20

# Seconds of a session after which its provider counts as available for others too.
PROBE: Final = 60.0

# An attempt that ends within this many seconds counts as an immediate failure; then seconds to wait.
_AT_ONCE: Final = 10.0
_FIRST_RETRY: Final = 1.0
_LAST_RETRY: Final = 60.0


def hold_seconds(outcome: "pb.Outcome.ValueType", failures: int, wish: float | None) -> float | None:
    """Returns the seconds that a provider is on hold; None: until the operator lifts the hold.

    `failures` is the number of consecutive sessions with an outage, the last of which ended with `outcome`.
    `wish` is the wait in seconds that the provider requests; None: it requests none.
    """
    if outcome in _NEEDS_OPERATOR:
        return None
    if outcome == pb.OUTCOME_PROVIDER_UNAVAILABLE and failures >= MAX_PROBES:
        return None
    own = _doubled(_FIRST, failures, _LAST)
    return own if wish is None else min(max(wish, own), _LONGEST)


def failed_at_once(seconds: float) -> bool:
    """Returns whether an attempt of this duration counts as an immediate failure."""
    return seconds < _AT_ONCE


def retry_seconds(quick: int) -> float:
    """Returns the seconds that a task waits after its last `quick` attempts failed immediately."""
    return _doubled(_FIRST_RETRY, quick, _LAST_RETRY) if quick else 0.0


def _doubled(first: float, times: int, last: float) -> float:
    # Far beyond any maximum, but small enough for a float.
    return min(first * 2.0 ** min(times - 1, 60), last)
