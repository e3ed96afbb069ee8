"""What befalls the services of a fleet: they die, freeze, are cut off, and start again."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from tests.chaos import evidence
from tests.support.fleet import Fleet
from tests.support.proxy import Proxy


class Worker:
    """One worker, with the networks between it and the others."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.to_remote: Proxy | None = None
        self.to_scheduler: list[Proxy] = []
        # Holds back the next fault of the same worker.
        self.busy: asyncio.Task[None] | None = None


async def start_again(fleet: Fleet, service: str) -> None:
    """Starts a service as `heddle up` does: tries again if it cannot start yet."""
    problem = AssertionError()
    for _ in range(10):
        try:
            await fleet.start(service)
        except AssertionError as error:
            problem = error
            # It may just be slow; two processes at the same time would be wrong.
            fleet.kill(service)
            await asyncio.sleep(1)  # what prevents its start, such as a database that is away, will end
        else:
            return
    raise problem


async def freeze(worker: Worker, seconds: float) -> None:
    """Stops the services of a worker for a time; one that is killed meanwhile does not come back frozen."""
    frozen = [each for each in worker.fleet._processes.values() if each.poll() is None]
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        for process in frozen:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)


async def cut(ways: list[Proxy], seconds: float) -> None:
    """Breaks these connections, and all new ones, for a time."""
    for way in ways:
        way.cut()
    try:
        await asyncio.sleep(seconds)
    finally:
        for way in ways:
            way.restore()


def end_all_below(home: Path) -> None:
    """Ends the processes that were started from, or in, a worker's folder, as the end of its machine does."""
    for line in evidence.processes_below(home):
        with suppress(psutil.NoSuchProcess):
            psutil.Process(int(line.split()[1])).kill()
