"""Growing pauses between the tries of something that may succeed later."""

import asyncio
import random


class Backoff:
    """Pauses that double from `first` to `longest` seconds.

    Each is shortened by up to half at random, so that many callers do not all return at once.
    """

    def __init__(self, first: float = 0.05, longest: float = 2.0) -> None:
        self._first = first
        self._next = first
        # Can be changed between two pauses.
        self.longest = longest

    def reset(self) -> None:
        """Starts again from the shortest pause, after a success."""
        self._next = self._first

    def seconds(self) -> float:
        """Returns the length of the next pause in seconds; each call counts as one try."""
        pause = min(self._next, self.longest)
        self._next = min(self._next * 2, self.longest)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, not a secret)

    async def wait(self) -> None:
        """Waits for the next pause."""
        await asyncio.sleep(self.seconds())
