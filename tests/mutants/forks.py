"""Forks that report to their parent, within limits of time and memory."""

import contextlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

# Limits of one mutant: seconds of real time beyond those of processor time, and bytes beyond what its parent has.
REAL_SECONDS: Final = 60.0
MEMORY: Final = 1 << 30

# How a fork ends. A limit ends it by a signal.
SURVIVED: Final = 0
KILLED: Final = 1
NOT_APPLIED: Final = 2


def forked(work: Callable[[], int], *, seconds: float | None) -> tuple[int, bytes]:
    """Runs `work` in a fork; returns its exit code, negative for a signal, and what it wrote to `report`."""
    end = branch(seconds)
    if end is not None:
        return end
    code = KILLED
    try:
        code = work()
    except BaseException:  # noqa: BLE001 (whatever a mutant raises, it is noticed)
        if seconds is None:
            os.write(_reports[-1], traceback.format_exc().encode())
    finally:
        os._exit(code)


def branch(seconds: float | None) -> tuple[int, bytes] | None:
    """Forks; returns None in the fork, which must end with os._exit(), and its end in the parent, as `forked` does."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        _reports.append(writable)
        _limit(seconds)
        return None
    return _ended(child, readable, writable)


def _ended(child: int, readable: int, writable: int) -> tuple[int, bytes]:
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said


# The pipes from this fork and from those that it comes from to their parents.
_reports: list[int] = []


def report(value: object) -> None:
    """Sends a value from a fork to its parent."""
    os.write(_reports[-1], f"{json.dumps(value)}\n".encode())


def _limit(seconds: float | None) -> None:
    """Ends this process after too much time; a mutant may never end."""
    os.setpgid(0, 0)
    if seconds is None:
        return
    for kind in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(kind, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, REAL_SECONDS + seconds)
    with contextlib.suppress(ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what pytest prints."""
    saved = [os.dup(stream) for stream in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stdout.flush()
        for stream, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
