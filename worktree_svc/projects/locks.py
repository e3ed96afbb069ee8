"""Locks: serializes jobs with the same key, and allows one service per data folder."""

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import structlog

from heddle import errors, pb
from heddle.timing import running_time
from worktree_svc.git.process import inherited_files
from worktree_svc.git.process.stopping import Stop, stoppable
from worktree_svc.storage import disk

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")

# The most jobs that run at the same time; each may start git processes. Stalled jobs do not count.
THREADS: Final = 8
# Seconds after which a job counts as stalled, and the most jobs including stalled ones.
STALLED_SECONDS: Final = 30.0
MOST_THREADS: Final = 32

# Seconds that a job gets to end after its caller has gone, and after a drain has begun.
ABANDONED_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 20.0


class KeyedExecutor:
    """Runs blocking jobs in threads; jobs with different keys run in parallel.

    A job continues if its caller is cancelled. If it was started with `ends_with_caller` and
    does not end soon, the git command that it runs on a worktree's files is ended.
    """

    def __init__(
        self,
        *,
        stalled: float = STALLED_SECONDS,
        abandoned: float = ABANDONED_SECONDS,
        drain: float = DRAIN_SECONDS,
    ) -> None:
        self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="git")
        self._free = asyncio.Semaphore(THREADS)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: dict[asyncio.Task[Any], Stop] = {}
        self._draining = False
        self._stalled_seconds = stalled
        self._abandoned_seconds = abandoned
        self._drain_seconds = drain

    async def run(
        self, job: Callable[[], Result], *, key: str | None = None, ends_with_caller: bool = False
    ) -> Result:
        """Runs `job` and returns its result; jobs with the same key never overlap."""
        if self._draining:
            raise errors.HeddleError(
                pb.ERROR_REASON_DRAINING, "the worktree service is shutting down; try again when it is back"
            )
        stop = Stop()
        task = asyncio.create_task(self._run(job, key, stop))
        self._running[task] = stop
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if ends_with_caller and not task.done():
                timer = running_time.Timer(self._abandoned_seconds, partial(stop.request, _abandoned()))
                task.add_done_callback(lambda _: timer.cancel())
            raise

    async def drain(self) -> None:
        """Rejects new jobs and waits for running jobs, so a commit that has begun is completed.

        Ends the git processes of jobs that take too long. The next service continues their work.
        """
        self._draining = True
        timer = running_time.Timer(self._drain_seconds, self._stop_all)
        await asyncio.gather(*self._running, return_exceptions=True)
        timer.cancel()
        self._threads.shutdown()

    async def _run(self, job: Callable[[], Result], key: str | None, stop: Stop) -> Result:
        def checked() -> Result:
            with disk.os_errors_translated(), stoppable(stop):
                return job()

        if key is None:
            return await self._in_thread(checked)
        async with self._locks.setdefault(key, asyncio.Lock()):
            return await self._in_thread(checked)

    async def _in_thread(self, job: Callable[[], Result]) -> Result:
        await self._free.acquire()
        with ExitStack() as slot:
            slot.callback(self._free.release)
            # Releases the slot once, early: a job that waits for something must not block the others.
            timer = running_time.Timer(self._stalled_seconds, slot.close)
            slot.callback(timer.cancel)
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)

    def _stop_all(self) -> None:
        message = "the worktree service is shutting down; try again when it is back"
        for stop in self._running.values():
            stop.request(errors.HeddleError(pb.ERROR_REASON_DRAINING, message), everything=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        if not task.cancelled():
            task.exception()  # the caller may be gone, and asyncio would warn about an unretrieved exception


def _abandoned() -> errors.HeddleError:
    return errors.HeddleError(
        pb.ERROR_REASON_GIT_FAILED,
        "the call was cancelled, and its git command did not end; nothing was lost",
    )


class RepositoryLocks:
    """Serializes changes to a repository's list of worktrees, because git itself has race conditions there.

    Locks the repository's own folder. The lock therefore also works between services
    with different data folders, leaves no file, and ends with its process.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: WeakValueDictionary[Path, _Lock] = WeakValueDictionary()

    @contextmanager
    def hold(self, folder: Path) -> Iterator[None]:
        """Holds the lock of the repository whose common folder is `folder`."""
        with self._mutex:
            lock = self._locks.setdefault(folder, _Lock())
        with lock.mutex:
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                # Some network file systems do not support this lock. The lock above still serializes the
                # threads of this service.
                with suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


class _Lock:
    """A threading.Lock that a weak reference can point to."""

    def __init__(self) -> None:
        self.mutex = threading.Lock()


class HomeInUseError(Exception):
    """Another worktree service uses the data folder; the message says what to do."""


class HomeLock:
    """One worktree service per data folder, including the git processes of a killed one.

    Every git process inherits the lock. If a git process outlives its service in the middle
    of a reset, the next service waits for it and does not clean up at the same time.
    """

    def __init__(self, path: Path, patience: float = 30) -> None:
        """Takes the lock, and waits for it at most `patience` seconds; raises HomeInUseError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take(path, patience)
        except BaseException:
            os.close(self._descriptor)
            raise
        inherited_files.share(self._descriptor)

    def release(self) -> None:
        """Releases the data folder for another service."""
        inherited_files.unshare(self._descriptor)
        os.close(self._descriptor)

    def _take(self, path: Path, patience: float) -> None:
        end = time.monotonic() + patience
        is_logged = False
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise HomeInUseError(
                        f"another worktree service, or a git process that it started, uses {path.parent}."
                        f" Stop it (fuser {path} shows which), or set HEDDLE_HOME to another folder."
                    ) from None
                if not is_logged:
                    log.info("waiting_for_previous_service", path=str(path))
                    is_logged = True
                time.sleep(0.05)
            else:
                return
