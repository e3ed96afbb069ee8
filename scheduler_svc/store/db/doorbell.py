"""Notifies waiting coroutines of changes. A ring carries no data: the coroutines read the tables."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from heddle import errors, pb
from heddle.names import AttemptName

# Rung for every change that the scheduler's loop could react to.
LOOP: Final = "loop"

# Rung for every change in the log or the state of any run.
RUNS: Final = "runs"


def summaries(run: object) -> str:
    """Returns the topic of changes in a run's sessions that are not in the run's log."""
    return f"{run}/summaries"


def attempt_topics(attempt: AttemptName) -> tuple[str, str, str]:
    """Returns what to ring after a step of an attempt: the loop, and the watchers of its run and of itself."""
    return LOOP, str(attempt.parent.parent.parent), str(attempt)


class Listener:
    """The rings that one waiter has not received yet."""

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
        """Waits; returns the topics rung since the last call, or none after `timeout` seconds.

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
    """The doorbell of one event loop. Topics are resource names, LOOP, RUNS and summaries(run)."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._closed = False

    @contextmanager
    def listen(self, *topics: str) -> Iterator[Listener]:
        """Listens inside the block. A caller that reads the tables inside misses no change."""
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
        """Wakes all listeners, for use after rings may have been lost."""
        self.ring(list(self._listeners))

    def close(self) -> None:
        """Ends every current and future wait with DRAINING."""
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.close()
