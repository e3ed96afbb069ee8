"""How long work waits after a failure before it is tried again. Part of the policy; pure."""

from typing import Final

from heddle import pb

# The model's provider takes no work. The task is not to blame: it uses up no retry, and continues with its session
# and files.
OUTAGES: Final = frozenset(
    {
        pb.OUTCOME_RATE_LIMITED,
        pb.OUTCOME_UNAUTHORIZED,
        pb.OUTCOME_OUT_OF_CREDIT,
        pb.OUTCOME_PROVIDER_UNAVAILABLE,
    }
)

# They do not pass by themselves.
_NEEDS_OPERATOR: Final = frozenset({pb.OUTCOME_UNAUTHORIZED, pb.OUTCOME_OUT_OF_CREDIT})

# Seconds that a provider is left alone: the first time, and doubled each time at most up to the last.
_FIRST: Final = 10.0
_LAST: Final = 15 * 60.0
# The longest that a provider may ask for: the limits of subscriptions are by the week.
_LONGEST: Final = 8 * 24 * 3600.0

# An outage of so many tries in a row, which is more than ten minutes, may not pass by itself.
MAX_PROBES: Final = 7

# So many sessions of one task may lose their provider in a row, each of which got somewhere.
MAX_OUTAGES: Final = 20

# Seconds: a provider that has taken a session for so long takes others too.
PROBE: Final = 60.0

# An attempt that ends within so many seconds fails at once; then seconds to wait, as for a provider.
_AT_ONCE: Final = 10.0
_FIRST_RETRY: Final = 1.0
_LAST_RETRY: Final = 60.0


def hold_seconds(outcome: "pb.Outcome.ValueType", failures: int, wish: float | None) -> float | None:
    """Returns for how many seconds a provider is left alone; None: until the operator lifts the hold.

    `failures` sessions in a row met it, the last with `outcome`. `wish` are the seconds
    that the provider asks for; None: it does not say.
    """
    if outcome in _NEEDS_OPERATOR:
        return None
    if outcome == pb.OUTCOME_PROVIDER_UNAVAILABLE and failures >= MAX_PROBES:
        return None
    own = _doubled(_FIRST, failures, _LAST)
    return own if wish is None else min(max(wish, own), _LONGEST)


def failed_at_once(seconds: float) -> bool:
    """Says whether an attempt that took so long did hardly anything."""
    return seconds < _AT_ONCE


def retry_seconds(quick: int) -> float:
    """Returns how many seconds a task waits of which the last `quick` attempts failed at once."""
    return _doubled(_FIRST_RETRY, quick, _LAST_RETRY) if quick else 0.0


def _doubled(first: float, times: int, last: float) -> float:
    # Far beyond any `last`, and no number that is too large for a float.
    return min(first * 2.0 ** min(times - 1, 60), last)
