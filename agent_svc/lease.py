"""How long sessions go on while no leader is heard of."""

import asyncio
from collections.abc import Callable


class Lease:
    """Runs out `seconds` after it was last renewed; then `on_end` is called. 0 seconds: never."""

    def __init__(self, seconds: float, on_end: Callable[[], None]) -> None:
        self.seconds = seconds
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None

    def renew(self) -> None:
        """Begins it anew, also after its end."""
        self.drop()
        if self.seconds:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._on_end)

    def drop(self) -> None:
        """Lets it never end. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
