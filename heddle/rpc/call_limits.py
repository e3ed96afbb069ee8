"""Limits what one caller can ask of a service: calls per second, open streams, and bytes of requests. Pure.

A stream costs work for as long as it is open, and a request takes far more memory than its bytes once it is read: without
limits, one caller would slow down all others. A caller is who calls, however many connections it has.
"""

import time
from collections.abc import Callable
from typing import Final

from heddle import pb
from heddle.errors import HeddleError

# Open streams of one caller. The web app has one for each view that someone looks at.
MAX_STREAMS: Final = 500
# Calls per second of one caller, and how many it may make at once after a pause.
RATE: Final = 1_000.0
BURST: Final = 5_000.0
# Bytes of one caller's requests that are being handled: one of the largest, which can take 600 MB of memory.
MAX_BYTES: Final = 4 << 20

# Callers whose rates are remembered. Those that have paused are forgotten first.
_REMEMBERED: Final = 2_000


class CallLimits:
    """Counts the calls, streams and bytes of each caller; raises TOO_MANY_CALLS above a limit.

    `now` returns the time in seconds.
    """

    def __init__(
        self,
        *,
        streams: int = MAX_STREAMS,
        rate: float = RATE,
        burst: float = BURST,
        size: int = MAX_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams = streams
        self._rate = rate
        self._burst = burst
        self._size = size
        self._now = now
        self._open: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        # By caller: the calls that it may make at once, and when that was so.
        self._left: dict[str, tuple[float, float]] = {}

    def count(self, caller: str) -> None:
        """Counts one call; raises if it is one too many."""
        now = self._now()
        left = self._left_at(caller, now)
        if left < 1:
            raise _refused(
                caller,
                f"makes more than the allowed {self._rate:,.0f} calls per second; make fewer",
                self._rate,
            )
        # At the end of the order: the callers at its beginning have paused the longest.
        self._left.pop(caller, None)
        self._left[caller] = (left - 1, now)
        if len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]

    def open_stream(self, caller: str) -> None:
        """Counts an open stream until `close_stream`; raises if it is one too many."""
        if self._open.get(caller, 0) >= self._streams:
            raise _refused(
                caller,
                f"already has {self._streams:,} open streams, the limit; close some of them",
                self._streams,
            )
        self._open[caller] = self._open.get(caller, 0) + 1

    def close_stream(self, caller: str) -> None:
        _give_back(self._open, caller, 1)

    def begin(self, caller: str, size: int) -> None:
        """Counts the bytes of a request until `end`; raises if they are too many together with those of others."""
        before = self._bytes.get(caller, 0)
        if before and before + size > self._size:
            raise _refused(
                caller,
                f"has requests of {before:,} bytes in progress, and one of {size:,} bytes would exceed the limit of"
                f" {self._size:,}; wait until one of them is answered",
                self._size,
            )
        self._bytes[caller] = before + size

    def end(self, caller: str, size: int) -> None:
        _give_back(self._bytes, caller, size)

    def _left_at(self, caller: str, now: float) -> float:
        left, before = self._left.get(caller, (self._burst, now))
        return min(self._burst, left + (now - before) * self._rate)


def _give_back(held: dict[str, int], caller: str, amount: int) -> None:
    left = held.get(caller, 0) - amount
    if left > 0:
        held[caller] = left
    else:
        held.pop(caller, None)


def _refused(caller: str, what: str, limit: float) -> HeddleError:
    return HeddleError(pb.ERROR_REASON_TOO_MANY_CALLS, f"{caller} {what}", limit=f"{limit:g}")
