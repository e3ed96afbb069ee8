"""Deadlines that count only time in which this process could run.

A suspended machine, a paused container and SIGSTOP take time from a process and from
all that it watches. Clocks count some of that, so a deadline by the clock alone would
end, on waking, what had no chance to work.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

# Seconds between two looks at the clock. A gap counts as at most twice that.
TICK: Final = 1.0

T = TypeVar("T")


async def tick(seconds: float) -> float:
    """Sleeps for `seconds`, at most one tick; returns how many of them this process could run."""
    loop = asyncio.get_running_loop()
    pause = min(max(seconds, 0.0), TICK)
    begun = loop.time()
    await asyncio.sleep(pause)
    return counted(loop.time() - begun, pause)


def counted(elapsed: float, pause: float) -> float:
    """Returns what of `elapsed` counts, where a process meant to sleep for `pause`: an overrun is cut at a tick."""
    return min(elapsed, pause + TICK)


async def sleep(seconds: float) -> None:
    """Returns once this process could run for `seconds`."""
    left = seconds
    while left > 0:
        left -= await tick(left)


class Timer:
    """Calls `callback` once this process could run for `seconds`, unless it was cancelled before."""

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(seconds, callback))

    async def _run(self, seconds: float, callback: Callable[[], object]) -> None:
        await sleep(seconds)
        callback()

    def cancel(self) -> None:
        """Keeps the callback from being called. Idempotent."""
        self._task.cancel()


async def wait_for(awaited: Awaitable[T], seconds: float) -> T:
    """Returns what `awaited` does; raises TimeoutError, and cancels it, where that takes over `seconds`."""
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
    """A moment for threads, `seconds` from now; a wait for it in which this process was frozen puts it off."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def wait(self, ready: Callable[[float], T]) -> T:
        """Returns what `ready` does once that is something, or the moment is there.

        It is called with the seconds that it may take, again and again.
        """
        while True:
            begun = time.monotonic()
            pause = min(max(self._end - begun, 0.0), TICK)
            found = ready(pause)
            now = time.monotonic()
            self._end += now - begun - counted(now - begun, pause)
            if found or now >= self._end:
                return found
