"""Processes of others, known by their number."""

from contextlib import suppress

import psutil


def reaped(pid: int) -> None:
    """Returns once `pid`, which was sent its end, is gone: init may take a moment to reap it. Fails after 10 s."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=10)
