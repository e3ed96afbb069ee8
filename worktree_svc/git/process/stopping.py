"""Ends the git processes of jobs that no one waits for, and limits how long git may take.

An agent's files, or a filter, can make git wait forever. The thread that waits for git cannot notice that its caller
is gone, so another thread ends the git process for it.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from heddle import errors, pb

# Commands that are fast on any repository, and their time limit in seconds.
QUICK: Final = frozenset(
    {"commit-tree", "config", "for-each-ref", "merge-base", "symbolic-ref", "update-ref", "write-tree"}
)
QUICK_SECONDS: Final = 120.0

# Commands that read or write the files of a worktree. They change no ref, so they leave no lock of a ref when they
# are killed.
WITH_FILES: Final = frozenset(
    {"clean", "diff", "diff-files", "hash-object", "ls-files", "read-tree", "update-index"}
)

_thread: Final = threading.local()


class Stop:
    """Ends the git processes of one job from another thread."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._running: dict[subprocess.Popen[bytes], bool] = {}
        self._error: errors.HeddleError | None = None

    def request(self, error: errors.HeddleError, *, everything: bool = False) -> None:
        """Makes the job fail with `error` at its next git command. Idempotent.

        Ends the running command if it works on files of a worktree, or with `everything` in any case.
        """
        with self._mutex:
            self._error = self._error or error
            for process, ends in self._running.items():
                if (ends or everything) and process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)

    def check(self) -> None:
        """Raises the error of a request, if there was one."""
        if self._error:
            raise self._error

    @contextmanager
    def covering(self, process: subprocess.Popen[bytes], arguments: Sequence[str]) -> Iterator[None]:
        """Ends `process` in the block on request, and then raises the error of the request."""
        with self._mutex:
            self.check()
            self._running[process] = arguments[0] in WITH_FILES
        try:
            yield
        finally:
            with self._mutex:
                del self._running[process]
        if process.returncode == -signal.SIGKILL:
            self.check()


@contextmanager
def stoppable(stop: Stop) -> Iterator[None]:
    """Lets `stop` end the git processes that this thread runs in the block."""
    stop.check()
    _thread.stop = stop
    try:
        yield
    finally:
        _thread.stop = None


@contextmanager
def covered(process: subprocess.Popen[bytes], arguments: Sequence[str]) -> Iterator[None]:
    """Lets the `Stop` of this thread's job, if there is one, end `process` in the block."""
    stop: Stop | None = getattr(_thread, "stop", None)
    if stop is None:
        yield
        return
    with stop.covering(process, arguments):
        yield


def seconds_for(arguments: Sequence[str], longest: float) -> float:
    """Returns the time limit of a git command, in seconds."""
    return min(longest, QUICK_SECONDS) if arguments[0] in QUICK else longest


def took_too_long(name: str, command: str, seconds: float) -> errors.HeddleError:
    """Returns the error for the git command `name` that was ended after `seconds`."""
    return errors.HeddleError(
        pb.ERROR_REASON_GIT_FAILED,
        f"git {name} took longer than {seconds:g} s and was ended. A filter of your git"
        " configuration may be waiting for something (git config --list --show-origin shows them), or the disk is"
        " very slow. Fix that, then try again; nothing was lost.",
        command=command,
    )
