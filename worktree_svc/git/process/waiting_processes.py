"""Keeps git processes that wait for work, because starting git takes longer than answering many questions.

Two kinds of processes wait. A *conversation* answers one question after another. A
*spare* was started in advance and does one job when it receives its input. Only this
process has the write end of their input pipes, so they end when it ends, for any reason.
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

from worktree_svc.git.process.processes import Process, end

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Older processes are ended, because a process reads the repository's settings and alternate object folders only
# once.
OLDEST_SECONDS: Final = 60.0

# Pause before the next spare is started, which leaves the machine to sending the call's answer.
PAUSE_SECONDS: Final = 0.005

# The most waiting processes of all kinds; each uses a few MB of memory.
MOST_WAITING: Final = 24


@dataclass
class GitProcess:
    """A git process, and the resources to clean up once it has ended."""

    process: Process
    belongings: ExitStack = field(default_factory=ExitStack)
    began: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Ends the git process and its process group, and cleans up."""
        with self.belongings:
            end(self.process)


# Starts a git process.
Start = Callable[[], GitProcess]

# The git folder of the repository, and the command that the process runs.
Key = tuple[Path | None, object]


class WaitingProcesses:
    """The waiting processes, by their command. Safe to use from threads."""

    def __init__(self, oldest_seconds: float = OLDEST_SECONDS, most: int = MOST_WAITING) -> None:
        self._oldest_seconds = oldest_seconds
        self._most = most
        self._mutex = threading.Lock()
        # The process that has waited longest comes first.
        self._waiting: list[tuple[Key, GitProcess]] = []
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="spare")
        self._timer: threading.Timer | None = None
        self._closing = threading.Event()

    def take(self, key: Key, start: Start) -> GitProcess:
        """Returns a process that is waiting under `key`, or starts one; the caller ends it or gives it back."""
        with self._mutex:
            indexes = [index for index, (waiting, _) in enumerate(self._waiting) if waiting == key]
            found = self._waiting.pop(indexes[-1])[1] if indexes else None
        if found is None:
            return start()
        if found.process.poll() is None:
            return found
        found.end()
        return start()

    def give(self, key: Key, child: GitProcess) -> None:
        """Keeps a process for the next caller, or ends it if it is too old."""
        with self._mutex:
            young = time.monotonic() - child.began < self._oldest_seconds
            kept = young and self._most > 0 and not self._closing.is_set()
            if kept:
                self._waiting.append((key, child))
            surplus = [self._waiting.pop(0)[1] for _ in range(len(self._waiting) - self._most)]
            self._watch()
        for one in surplus if kept else [child]:
            one.end()

    def replace(self, key: Key, spent: GitProcess, start: Start) -> None:
        """Ends a spare that has done its job; cleans up and starts the next spare in the background."""
        end(spent.process)
        try:
            if self._most > 0:
                self._starter.submit(self._replace, key, spent, start)
                return
        except RuntimeError:  # the pool was closed meanwhile
            pass
        spent.belongings.close()

    def drop(self, folder: Path) -> None:
        """Ends the processes of a repository whose settings have changed."""
        self._end(lambda key, _: key[0] == folder)

    def close(self) -> None:
        """Ends all processes; later processes are not kept."""
        with self._mutex:
            self._closing.set()
            if self._timer:
                self._timer.cancel()
        self._starter.shutdown()
        self._end(lambda _, __: True)

    def _replace(self, key: Key, spent: GitProcess, start: Start) -> None:
        # The answer is sent first, because starting a process blocks all threads of the service.
        self._closing.wait(PAUSE_SECONDS)
        spent.belongings.close()
        with self._mutex:
            if self._closing.is_set() or any(waiting == key for waiting, _ in self._waiting):
                return
        try:
            child = start()
        except Exception as error:  # noqa: BLE001 (the next caller starts the process itself and gets the error)
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
        """Starts the timer for the next process that becomes too old; the caller holds the mutex."""
        if self._waiting and self._timer is None and not self._closing.is_set():
            oldest = min(child.began for _, child in self._waiting)
            wait = oldest + self._oldest_seconds - time.monotonic()
            self._timer = threading.Timer(max(wait, 0.0), self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _end(self, chosen: Callable[[Key, GitProcess], bool]) -> None:
        with self._mutex:
            ended = [(key, child) for key, child in self._waiting if chosen(key, child)]
            self._waiting = [entry for entry in self._waiting if entry not in ended]
        for _, child in ended:
            child.end()


# A pool without waiting processes: each process is started when needed, and ended afterwards.
NONE: Final = WaitingProcesses(most=0)
