"""Forks that report to their parent, within limits of time and memory."""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Final

import psutil

# Limits of one mutant: seconds in which it only waits, and bytes beyond what its parent has. There is no limit of
# real time: on a busy machine, a test may wait for the processor.
IDLE_SECONDS: Final = 10
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
    return _ended(child, readable, writable, limited=seconds is not None)


def _ended(child: int, readable: int, writable: int, *, limited: bool) -> tuple[int, bytes]:
    os.close(writable)
    process = psutil.Process(child)
    used, idle = -1.0, 0
    said = b""
    with os.fdopen(readable, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], 1.0)
            if ready:
                chunk = pipe.read(1 << 16)
                if not chunk:
                    break
                said += chunk
            elif limited:
                before, used = used, sum(process.cpu_times()[:2])
                waits = used == before and process.status() != psutil.STATUS_RUNNING
                idle = idle + 1 if waits else 0
                if idle >= IDLE_SECONDS:
                    process.kill()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said


# The pipes from this fork and from those that it comes from to their parents.
_reports: list[int] = []


def report(value: object) -> None:
    """Sends a value from a fork to its parent."""
    os.write(_reports[-1], f"{json.dumps(value)}\n".encode())


def _limit(seconds: float | None) -> None:
    """Ends this process after too much processor time or memory; a mutant may never end."""
    if seconds is None:
        return
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MEMORY,) * 2)


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
