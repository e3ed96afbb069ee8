"""The recent activity of an agent, as shown on its card. Pure."""

from collections.abc import Sequence
from typing import Final

# Seconds per span, and the number of spans: three minutes in total.
SPAN: Final = 5
KEPT: Final = 36


def counted(before: Sequence[int], before_time: int, times: Sequence[int]) -> list[int]:
    """Returns the counts per span, up to the span of the newest of `times`.

    `before` ends with the span of `before_time`. All times are seconds since 1970.
    `times` are the times of the new events, at least one. If the clock went back, an
    event counts in its own earlier span, or is dropped if that is before the first.
    """
    last = before_time // SPAN if before else min(times) // SPAN - 1
    newest = max(last, max(times) // SPAN)
    counts = [*before, *[0] * min(newest - last, KEPT)][-KEPT:]
    for time in times:
        place = len(counts) - 1 - max(0, newest - time // SPAN)
        if place >= 0:
            counts[place] += 1
    return counts
