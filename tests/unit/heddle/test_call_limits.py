"""What one caller may ask for, at each limit and one beyond."""

import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.rpc.call_limits import CallLimits


class Clock:
    """A clock that stands still until a test moves it."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_caller_makes_a_limited_number_of_calls() -> None:
    """After a burst, a caller may make as many calls per second as the rate says; others are not affected."""
    clock = Clock()
    limits = CallLimits(rate=2, burst=5, now=clock)
    for _ in range(5):
        limits.count("eve")
    with pytest.raises(HeddleError, match="eve makes more than the allowed 2 calls per second") as caught:
        limits.count("eve")
    assert caught.value.reason == pb.ERROR_REASON_TOO_MANY_CALLS
    limits.count("ada")
    clock.seconds += 1
    limits.count("eve")
    limits.count("eve")
    with pytest.raises(HeddleError):
        limits.count("eve")
    # A long pause gives no more than the burst.
    clock.seconds += 1_000
    for _ in range(5):
        limits.count("eve")
    with pytest.raises(HeddleError):
        limits.count("eve")


def test_the_callers_that_paused_the_longest_are_forgotten() -> None:
    """Of more than 2,000 callers, one that just made its calls cannot make more because others called before."""
    clock = Clock()
    limits = CallLimits(rate=1, burst=1, now=clock)
    for number in range(2_000):
        limits.count(f"caller {number}")
    with pytest.raises(HeddleError):
        limits.count("caller 0")
    limits.count("eve")
    for caller in ("eve", "caller 1", "caller 1999"):
        with pytest.raises(HeddleError):
            limits.count(caller)
    limits.count("caller 0")


def test_a_caller_has_a_limited_number_of_streams() -> None:
    """A closed stream makes room for one more."""
    limits = CallLimits(streams=2)
    limits.open_stream("eve")
    limits.open_stream("eve")
    with pytest.raises(HeddleError, match="eve already has 2 open streams, the limit"):
        limits.open_stream("eve")
    limits.open_stream("ada")
    limits.close_stream("eve")
    limits.open_stream("eve")
    with pytest.raises(HeddleError):
        limits.open_stream("eve")


def test_the_requests_of_a_caller_have_limited_bytes() -> None:
    """Requests in progress together have at most the limit; one alone is always accepted, as the server limits it."""
    limits = CallLimits(size=10)
    limits.begin("eve", 4)
    limits.begin("eve", 6)
    with pytest.raises(HeddleError, match="eve has requests of 10 bytes in progress, and one of 1 bytes"):
        limits.begin("eve", 1)
    limits.begin("ada", 11)
    limits.end("eve", 4)
    limits.begin("eve", 4)
    with pytest.raises(HeddleError):
        limits.begin("eve", 1)
