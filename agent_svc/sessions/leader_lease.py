"""How long sessions continue without contact with a leader."""

import asyncio
from collections.abc import Callable
from typing import Final

from heddle import running_time

# Seconds that the leader has to get in contact after this process could not run for a while.
WAKE: Final = 10.0


class Lease:
    """Runs out `seconds` after it was last renewed; then `on_end` is called. 0 seconds: never.

    Time in which this process could not run counts, as the leader counts it too; but a
    leader that was frozen with this process has a moment to renew the lease.
    """

    def __init__(self, seconds: float, on_end: Callable[[], None]) -> None:
        self.seconds = seconds
        self._on_end = on_end
        self._running: asyncio.Task[None] | None = None

    def renew(self) -> None:
        """Starts the lease again, even after it has ended."""
        self.drop()
        if self.seconds:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        begun, ran = loop.time(), 0.0
        while (left := begun + self.seconds - loop.time()) > 0:
            ran += await running_time.tick(left)
        if loop.time() - begun - ran > running_time.TICK:
            await running_time.sleep(WAKE)
        self._on_end()

    def drop(self) -> None:
        """Lets it never end. Idempotent."""
        if self._running is not None:
            self._running.cancel()
            self._running = None
