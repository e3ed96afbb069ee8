"""Tells waiting coroutines that something changed. It carries no news: they read the table."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from heddle import errors, pb

# Rung for every change that the scheduler's loop could act upon.
LOOP: Final = "loop"

# Rung for every change of any run that its log or its state tells.
RUNS: Final = "runs"


def summaries(run: object) -> str:
    """Returns the topic of news in a run's sessions that its log does not hold."""
    return f"{run}/summaries"


class Listener:
    """What one waiter has not heard yet."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._event = asyncio.Event()
        self._closed = False

    def hear(self, topics: Iterable[str]) -> None:
        self._rung.update(topics)
        self._event.set()

    def close(self) -> None:
        self._closed = True
        self._event.set()

    async def wait(self, timeout: float) -> set[str]:
        """Returns the topics rung since the last call, none after `timeout` seconds.

        Raises DRAINING once the doorbell is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            pass
        if self._closed:
            raise errors.HeddleError(
                pb.ERROR_REASON_DRAINING, "the scheduler is shutting down; call again to continue"
            )
        self._event.clear()
        rung, self._rung = self._rung, set()
        return rung


class Doorbell:
    """Topics are resource names, LOOP, RUNS and summaries(run). Belongs to one event loop."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._closed = False

    @contextmanager
    def listen(self, *topics: str) -> Iterator[Listener]:
        """Listens from here on: read the table inside, and no change is missed."""
        listener = Listener()
        for topic in topics:
            self._listeners[topic].add(listener)
        if self._closed:
            listener.close()
        try:
            yield listener
        finally:
            for topic in topics:
                self._listeners[topic].discard(listener)
                if not self._listeners[topic]:
                    del self._listeners[topic]

    def ring(self, topics: Iterable[str]) -> None:
        for topic in topics:
            for listener in self._listeners.get(topic, ()):
                listener.hear((topic,))
            # The name of a run: "runs/R".
            if topic.startswith("runs/") and topic.count("/") == 1:
                for listener in self._listeners.get(RUNS, ()):
                    listener.hear((topic,))

    def ring_all(self) -> None:
        """Wakes everybody, as after a time in which rings may have been lost."""
        self.ring(list(self._listeners))

    def close(self) -> None:
        """Ends every wait, now and later, with DRAINING."""
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.close()
