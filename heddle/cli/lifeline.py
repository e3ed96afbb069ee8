"""Runs a module as `python -m` would, and ends it when whoever started it is gone.

`heddle up` starts each service through this, with a pipe on its standard input
that it never writes to. The system closes the pipe when `up` dies, however it
dies; the service then gets SIGTERM, and SIGKILL if it has not drained in time.
"""

import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

# Seconds that a service has to drain before it is killed.
DRAIN: Final = 15.0


def hold(lifeline: int) -> None:
    """Waits until the other end of the pipe is closed, then ends this process."""
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Runs the module that the first argument names."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=hold, args=(lifeline,), name="lifeline", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
