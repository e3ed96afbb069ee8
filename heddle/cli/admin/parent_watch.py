"""Runs a service, and ends it when its parent process is gone.

    python -m heddle.cli.admin.parent_watch SECONDS SERVICE HEDDLE_HOME

`heddle up` starts each service through this, with a pipe on its standard input
that it never writes to. The system closes the pipe when `up` dies for any
reason; the service then gets SIGTERM, and SIGKILL if it has not drained within SECONDS.
HEDDLE_HOME only says whose service this is.
"""

import os
import signal
import sys
import threading
import time
from importlib import import_module

from heddle.imports import without_collections, without_modules


def wait_for_end(pipe: int, drain: float) -> None:
    """Waits until the other end of the pipe is closed, then ends this process."""
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(drain)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Runs the service named by the arguments: `main` of its `__main__`."""
    drain, sys.argv = float(sys.argv[1]), sys.argv[2:]
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=wait_for_end, args=(pipe, drain), name="parent-watch", daemon=True).start()
    # rich: structlog imports it to draw tracebacks, which services do not.
    with without_collections(), without_modules("rich"):
        service = import_module(f"{sys.argv[0]}.__main__")
    sys.exit(service.main())


if __name__ == "__main__":
    main()
