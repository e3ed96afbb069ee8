"""Deadlines that count only the time in which this process could run.

A suspended machine, a paused container or SIGSTOP stops a process and everything it
watches. Clocks include some of that time, so after waking up, a deadline by the clock
alone would end work that had no chance to run.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

# Seconds between two readings of the clock. A gap counts as at most twice that.
TICK: Final = 1.0

T = TypeVar("T")


async def tick(seconds: float) -> float:
    """Sleeps for `seconds`, at most one tick; returns the seconds in which this process could run."""
    loop = asyncio.get_running_loop()
    pause = min(max(seconds, 0.0), TICK)
    begun = loop.time()
    await asyncio.sleep(pause)
    return counted(loop.time() - begun, pause)


def counted(elapsed: float, pause: float) -> float:
    """Returns how much of `elapsed` counts after a sleep of `pause`: an overrun counts as at most one tick."""
    return min(elapsed, pause + TICK)


async def sleep(seconds: float) -> None:
    """Returns after this process was able to run for `seconds`."""
    left = seconds
    while left > 0:
        left -= await tick(left)


class Timer:
    """Calls `callback` after this process was able to run for `seconds`, unless cancelled before."""

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(seconds, callback))

    async def _run(self, seconds: float, callback: Callable[[], object]) -> None:
        await sleep(seconds)
        callback()

    def cancel(self) -> None:
        """Prevents the callback from being called. Idempotent."""
        self._task.cancel()


async def wait_for(awaited: Awaitable[T], seconds: float) -> T:
    """Returns the result of `awaited`; after `seconds`, cancels it and raises TimeoutError."""
    waiting = asyncio.ensure_future(awaited)
    sleeping = asyncio.create_task(sleep(seconds))
    try:
        await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise TimeoutError
    finally:
        waiting.cancel()
        sleeping.cancel()


class Limit:
    """A deadline for threads, `seconds` from now; time in which this process was frozen extends it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def wait(self, ready: Callable[[float], T]) -> T:
        """Calls `ready` until it returns something truthy or the deadline has passed; returns its result.

        `ready` receives the seconds that it may take.
        """
        while True:
            begun = time.monotonic()
            pause = min(max(self._end - begun, 0.0), TICK)
            found = ready(pause)
            now = time.monotonic()
            self._end += now - begun - counted(now - begun, pause)
            if found or now >= self._end:
                return found
