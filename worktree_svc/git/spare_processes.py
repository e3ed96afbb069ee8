"""Gits that wait for their work: starting one takes longer than much of what it is asked.

Two kinds wait here. A *reader* answers one question after the other. A *spare*
was started before anybody needed it and does one job: what it does begins when
it gets its input. Both hold the write end of a pipe only in this process, so
they end with it, however it ends.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from worktree_svc.git.processes import Process, end

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# A git that is older is ended: it has read the repository's settings once, and its list of other object folders.
OLDEST_SECONDS: Final = 60.0

# For so long a call's answer has the machine before the next spare is started.
PAUSE_SECONDS: Final = 0.005

# All that wait, whatever they wait for; each holds a few MB.
MOST_WAITING: Final = 24


@dataclass
class Child:
    """A git that waits, and what is to be cleaned up once it has ended."""

    process: Process
    belongings: ExitStack = field(default_factory=ExitStack)
    began: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Ends the git and all that it started."""
        with self.belongings:
            end(self.process)


# Starts a git.
Start = Callable[[], Child]

# The git folder of the repository, and what the git was started for.
Key = tuple[Path | None, object]


class Children:
    """Those that wait, by what they were started for. Safe to use from threads."""

    def __init__(self, oldest_seconds: float = OLDEST_SECONDS, most: int = MOST_WAITING) -> None:
        self._oldest_seconds = oldest_seconds
        self._most = most
        self._mutex = threading.Lock()
        # The one that began to wait first comes first.
        self._waiting: list[tuple[Key, Child]] = []
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="spare")
        self._timer: threading.Timer | None = None
        self._closing = threading.Event()

    def take(self, key: Key, start: Start) -> Child:
        """Returns a git that waits under `key`, or one that is started now; its user ends it or gives it back."""
        with self._mutex:
            places = [place for place, (waiting, _) in enumerate(self._waiting) if waiting == key]
            found = self._waiting.pop(places[-1])[1] if places else None
        if found is None:
            return start()
        if found.process.poll() is None:
            return found
        found.end()
        return start()

    def give(self, key: Key, child: Child) -> None:
        """Lets a git wait for the next who asks."""
        with self._mutex:
            young = time.monotonic() - child.began < self._oldest_seconds
            kept = young and self._most > 0 and not self._closing.is_set()
            if kept:
                self._waiting.append((key, child))
            surplus = [self._waiting.pop(0)[1] for _ in range(len(self._waiting) - self._most)]
            self._watch()
        for one in surplus if kept else [child]:
            one.end()

    def replace(self, key: Key, spent: Child, start: Start) -> None:
        """Ends a spare that did its job; cleans up after it and starts the next one in the background."""
        end(spent.process)
        try:
            if self._most > 0:
                self._starter.submit(self._replace, key, spent, start)
                return
        except RuntimeError:  # closed meanwhile
            pass
        spent.belongings.close()

    def drop(self, folder: Path) -> None:
        """Ends those of a repository whose settings have changed."""
        self._end(lambda key, _: key[0] == folder)

    def close(self) -> None:
        """Ends all; from now on nothing waits."""
        with self._mutex:
            self._closing.set()
            if self._timer:
                self._timer.cancel()
        self._starter.shutdown()
        self._end(lambda _, __: True)

    def _replace(self, key: Key, spent: Child, start: Start) -> None:
        # The answer goes out first: while a process starts, all threads of this one stand still.
        self._closing.wait(PAUSE_SECONDS)
        spent.belongings.close()
        with self._mutex:
            if self._closing.is_set() or any(waiting == key for waiting, _ in self._waiting):
                return
        try:
            child = start()
        except Exception as error:  # noqa: BLE001 (whoever needs this git starts it himself, and is told)
            log.info("spare_not_started", error=str(error))
        else:
            self.give(key, child)

    def _expire(self) -> None:
        now = time.monotonic()
        self._end(lambda _, child: now - child.began >= self._oldest_seconds)
        with self._mutex:
            self._timer = None
            self._watch()

    def _watch(self) -> None:
        """Sets the clock for the next that gets too old; the mutex is held."""
        if self._waiting and self._timer is None and not self._closing.is_set():
            oldest = min(child.began for _, child in self._waiting)
            wait = oldest + self._oldest_seconds - time.monotonic()
            self._timer = threading.Timer(max(wait, 0.0), self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _end(self, chosen: Callable[[Key, Child], bool]) -> None:
        with self._mutex:
            ended = [(key, child) for key, child in self._waiting if chosen(key, child)]
            self._waiting = [entry for entry in self._waiting if entry not in ended]
        for _, child in ended:
            child.end()


# Where nothing is to wait: each git is started when it is needed, and ended after.
NONE: Final = Children(most=0)
