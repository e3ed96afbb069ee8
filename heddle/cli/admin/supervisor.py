"""Keeps the four services running as child processes, and leaves none behind."""

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import psutil

from heddle.cli.admin.ports import Endpoint, Endpoints
from heddle.cli.admin.service_log import ServiceLog
from heddle.cli.console.exit_codes import INTERRUPTED
from heddle.cli.console.failure import Failure
from heddle.config import Settings

# A service that ends within QUICK_DEATH seconds, QUICK_DEATHS times in a row, is not restarted.
QUICK_DEATH: Final = 10.0
QUICK_DEATHS: Final = 3

# Seconds that services get to drain before they are killed, in addition to the grace period of agents.
DRAIN: Final = 15.0

Tell = Callable[[str], None]


class Supervisor:
    """Runs the services of one embedded Heddle until it is asked to end.

    `tell` receives lines for the operator: restarts, warnings of the services, and how the
    services ended.
    """

    def __init__(self, endpoints: Endpoints, settings: Settings, tell: Tell) -> None:
        self._endpoints = endpoints
        self._settings = settings
        self._tell = tell
        self._ending = asyncio.Event()
        self._children: dict[str, asyncio.subprocess.Process] = {}

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Starts all services, awaits `work` meanwhile, and ends them after the first signal.

        Raises Failure if a service cannot be kept running. A second signal kills everything
        at once.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        # Under nohup, SIGHUP is ignored and must stay so.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._on_signal)
        keepers = [asyncio.create_task(self._keep(each)) for each in self._endpoints.all]
        # Started after the keepers, each of which starts its service before it waits for anything.
        working = asyncio.ensure_future(work())
        ending = asyncio.create_task(self._ending.wait())
        try:
            # The work may end before the services; a keeper ends only if it fails.
            watched = {*keepers, ending, working}
            while not ending.done():
                done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            self._ending.set()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self._drain(keepers)

    def _on_signal(self) -> None:
        if self._ending.is_set():
            kill_descendants()
            os._exit(INTERRUPTED)
        self._ending.set()

    async def _keep(self, endpoint: Endpoint) -> None:
        log = ServiceLog(endpoint.name, self._settings.home / "logs" / f"{endpoint.name}.log", self._tell)
        pause, deaths = 0.5, 0
        try:
            while not self._ending.is_set():
                started = time.monotonic()
                code = await self._live(endpoint, log)
                if self._ending.is_set():
                    return
                quick = time.monotonic() - started < QUICK_DEATH
                deaths, pause = (deaths + 1, pause * 2) if quick else (1, 0.5)
                if deaths >= QUICK_DEATHS:
                    raise Failure(_given_up(endpoint, deaths, code, log))
                self._tell(f"{endpoint.name} ended ({_how(code)}); restarting it")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), pause)
        finally:
            log.close()

    async def _live(self, endpoint: Endpoint, log: ServiceLog) -> int:
        """Runs the service once; returns its exit code."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a folder named heddle in the working directory is not ours
            "-m",
            "heddle.cli.admin.parent_watch",
            str(drain_time(self._settings)),
            endpoint.module,
            # Identifies the service to the next `up`, which cannot read the environment of a service.
            str(self._settings.home),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment(endpoint),
            # Ctrl-C in the terminal reaches only this process, which passes it on.
            start_new_session=True,
        )
        self._children[endpoint.name] = child
        if self._ending.is_set():
            _signal(child, signal.SIGTERM)
        assert child.stdout is not None  # noqa: S101 (asked for above)
        reading = asyncio.create_task(log.read(child.stdout))
        try:
            code = await child.wait()
            # Its child processes may keep the pipe open.
            await asyncio.wait({reading}, timeout=1.0)
            return code
        finally:
            reading.cancel()
            del self._children[endpoint.name]

    def _environment(self, endpoint: Endpoint) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "HEDDLE_WORKERS"}
        return {
            **inherited,
            **self._endpoints.environment(),
            "HEDDLE_HOME": str(self._settings.home),
            "HEDDLE_LISTEN": endpoint.address,
            "HEDDLE_METRICS": self._endpoints.metrics(endpoint, self._settings.metrics),
            "PYTHONUNBUFFERED": "1",
            # gRPC's fork handlers can deadlock in a child that only execs.
            "GRPC_ENABLE_FORK_SUPPORT": "0",
        }

    async def _drain(self, keepers: list[asyncio.Task[None]]) -> None:
        for child in self._children.values():
            _signal(child, signal.SIGTERM)
        seconds = drain_time(self._settings)
        _, late = await asyncio.wait(keepers, timeout=seconds)
        if late:
            self._tell(f"{', '.join(self._children)} did not end within {seconds:g} s and had to be killed")
            kill_descendants()
        # The first failure is already being reported; further ones add nothing.
        await asyncio.gather(*keepers, return_exceptions=True)


def drain_time(settings: Settings) -> float:
    """Returns the seconds that a service may take to end."""
    return settings.drain + settings.stop_grace + DRAIN


def kill_descendants() -> None:
    """Kills all descendants of this process, agents included."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        child.send_signal(number)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _given_up(endpoint: Endpoint, deaths: int, code: int, log: ServiceLog) -> str:
    lines: deque[str] = log.last_lines
    said = "".join(f"\n  {line}" for line in lines) or "\n  (nothing)"
    return (
        f"{endpoint.name} ended {deaths} times within seconds ({_how(code)}), so all services were stopped.\n"
        f"Its last output, from {log.path}:{said}"
    )
