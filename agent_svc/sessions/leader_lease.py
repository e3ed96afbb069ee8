"""The lease that limits how long sessions continue without contact with a leader."""

import asyncio
from collections.abc import Callable
from typing import Final

from heddle.timing import running_time

# Seconds that the leader has to make contact after this process was frozen.
WAKE: Final = 10.0


class Lease:
    """Expires `seconds` after the last renewal and then calls `on_end`. With 0 seconds, it never expires.

    Time in which this process was frozen counts, because the leader counts it too. A leader
    that was frozen together with this process has WAKE more seconds to renew the lease.
    """

    def __init__(self, seconds: float, on_end: Callable[[], None]) -> None:
        self.seconds = seconds
        self._on_end = on_end
        self._running: asyncio.Task[None] | None = None

    def renew(self) -> None:
        """Restarts the lease, even if it has expired."""
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
        """Cancels the lease, so that it does not expire. Idempotent."""
        if self._running is not None:
            self._running.cancel()
            self._running = None
