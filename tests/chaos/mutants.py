"""Starts a service with a defect that the checkers of a soak must find.

python -m tests.chaos.mutants DEFECT[,DEFECT] SERVICE
"""

import asyncio
import os
import random
import runpy
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

# The files that agent_svc has synced and that survive a power failure, as lines of size and path.
SYNCED: Final = "synced"

# A file whose existence lets a leader with `no_epoch_check` end its term.
NOTICED: Final = "noticed"


def no_epoch_check() -> None:
    """The leader's transactions no longer check whether another scheduler leads.

    Its term ends only once HEDDLE_HOME/NOTICED exists: without that, the loop could notice before anything is written.
    """
    leading: Any = import_module("scheduler_svc.leader.context.term")
    leading.check_epoch = lambda _connection, epoch: epoch
    background: Any = import_module("scheduler_svc.leader.background_tasks").BackgroundTasks
    begin, noticed = background.__init__, Path(os.environ["HEDDLE_HOME"]) / NOTICED

    class Deposed(asyncio.Event):
        def is_set(self) -> bool:
            return super().is_set() and noticed.exists()

    def unnoticed(self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        self.deposed = Deposed()

    background.__init__ = unnoticed


def power_seam() -> None:
    """No defect: every sync is recorded, so that `lose_power` can remove what was not synced."""
    real = os.fsync

    def noted(file: int) -> None:
        real(file)
        with (Path(os.environ["HEDDLE_HOME"]) / SYNCED).open("a") as journal:
            journal.write(f"{os.fstat(file).st_size} {Path(f'/proc/self/fd/{file}').readlink()}\n")

    os.fsync = noted  # type: ignore[assignment]  # fsync takes more than we give it


def slow_disk() -> None:
    """No defect: some syncs take long."""
    real = os.fsync

    def slowly(file: int) -> None:
        if random.random() < 0.05:
            time.sleep(random.uniform(0.1, 0.5))
        real(file)

    os.fsync = slowly  # type: ignore[assignment]  # fsync takes more than we give it


def no_spool_sync() -> None:
    """Events are sent without having been synced."""

    class Lazy:
        def __getattr__(self, name: str) -> Any:
            return (lambda _: None) if name == "fsync" else getattr(os, name)

    event_log: Any = import_module("agent_svc.log.event_log")
    event_log.os = Lazy()


def kill_only_the_agent() -> None:
    """A supervisor ends its command, but not the processes that it started."""
    supervisor: Any = import_module("agent_svc.processes.supervisor")
    text = Path(supervisor.__file__).read_text()
    every, alone = "descendants(os.getpid())", "[self._main] * (self._status is None)"
    assert text.count(f"alive := {every}") == 1
    copy = Path(os.environ["HEDDLE_HOME"]) / "supervisor.py"
    copy.write_text(text.replace(f"alive := {every}", f"alive := {alone}"))
    supervisor.__file__ = str(copy)


def lose_power(home: Path) -> None:
    """Cuts each event log to what was synced, once agent_svc has been killed."""
    synced: dict[str, int] = {}
    for line in (home / SYNCED).read_text().splitlines():
        size, _, path = line.partition(" ")
        synced[path] = int(size)
    for log in (home / "spool").rglob("events.log"):
        os.truncate(log, min(synced.get(str(log), 0), log.stat().st_size))


DEFECTS: Final[dict[str, Callable[[], None]]] = {
    each.__name__: each
    for each in (no_epoch_check, power_seam, slow_disk, no_spool_sync, kill_only_the_agent)
}


def main() -> None:
    defects, service = sys.argv[1:]
    for defect in defects.split(","):
        DEFECTS[defect]()
    sys.argv = [service]
    runpy.run_module(service, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
