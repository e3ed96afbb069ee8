"""The real services as processes that a test can kill and restart."""

import asyncio
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from heddle import sockets
from heddle.client import HeddleClient
from heddle.identity import token_file
from heddle.rpc.channels import open_channel
from tests.support import warm
from tests.support.ports import free_ports
from tests.support.warm import Started

# Seconds until a service must serve. Generous: the machine may be busy.
START_DEADLINE = 90

GRPC_SERVICES = ("worktree_svc", "agent_svc", "scheduler_svc")


class Fleet:
    """Services below one HEDDLE_HOME: scheduler and web app on loopback ports, the worker's on sockets."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.scheduler, self.ui = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.worktree, self.agent = (sockets.address(home, name) for name in ("worktree", "agent"))
        self._addresses = {
            "scheduler_svc": self.scheduler,
            "worktree_svc": self.worktree,
            "agent_svc": self.agent,
            "ui_svc": self.ui,
        }
        self._extra = dict(environment or {})
        # How a service is started, if not in the usual way.
        self.commands: dict[str, list[str]] = {}
        self._processes: dict[str, Started] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of clients and services of this fleet."""
        # Its presence makes NiceGUI believe that it runs inside a test.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return {
            **inherited,
            "HEDDLE_HOME": str(self.home),
            "HEDDLE_SCHEDULER": self.scheduler,
            "HEDDLE_WORKERS": f"local={self.worktree}+{self.agent}",
            "HEDDLE_MIN_FREE_BYTES": "0",
            "HEDDLE_SCRIPT_SPEED": "0",
            **self._extra,
        }

    @property
    def token(self) -> str:
        """The operator's token; empty before the scheduler has started."""
        return token_file.read(token_file.operator_file(self.home))

    def client(self, **options: Any) -> HeddleClient:
        """Returns a client of the scheduler with the operator's token; `options` are those of HeddleClient."""
        return HeddleClient(self.scheduler, token=lambda: self.token, **options)

    def spawn(self, service: str, environment: Mapping[str, str] | None = None) -> Started:
        """Starts a service's process; its output goes to HEDDLE_HOME/SERVICE.log."""
        whole = {**self.environment, "HEDDLE_LISTEN": self._addresses[service], **(environment or {})}
        with (self.home / f"{service}.log").open("ab") as log:
            self._processes[service] = self._run(service, whole, log.fileno())
        return self._processes[service]

    def _run(self, service: str, environment: Mapping[str, str], log: int) -> Started:
        if service not in self.commands:
            return warm.start(service, env=environment, cwd=self.home, stdout=log, stderr=log)
        return subprocess.Popen(
            self.commands[service],
            env=environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    async def start(self, *services: str) -> None:
        """Starts the services and waits until each reports SERVING; fails with its log if one does not."""
        for service in services:
            self.spawn(service)
        await asyncio.gather(*(self._serving(service) for service in services))

    async def start_web_app(self) -> None:
        """Starts ui_svc alone and waits until it answers."""
        self.spawn("ui_svc")
        async with asyncio.timeout(START_DEADLINE):
            while not await asyncio.to_thread(_answers, f"http://{self.ui}/healthz"):
                if self._processes["ui_svc"].poll() is not None:
                    raise AssertionError(f"ui_svc ended:\n{self.log('ui_svc')}")
                await asyncio.sleep(0.05)  # nothing listens yet, so there is no event to wait for

    def process_id(self, service: str) -> int:
        return self._processes[service].pid

    def kill(self, service: str) -> None:
        """Ends a service immediately (SIGKILL)."""
        process = self._processes.pop(service)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Asks every service to end and waits; kills those that do not."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def log(self, service: str) -> str:
        """Returns the log of a service."""
        return (self.home / f"{service}.log").read_text(errors="replace")

    async def _serving(self, service: str) -> None:
        try:
            async with asyncio.timeout(START_DEADLINE), open_channel(self._addresses[service]) as channel:
                await self._ask_until_serving(service, channel)
        except TimeoutError:
            raise AssertionError(f"{service} does not serve:\n{self.log(service)}") from None

    async def _ask_until_serving(self, service: str, channel: grpc.aio.Channel) -> None:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        while True:
            if self._processes[service].poll() is not None:
                raise AssertionError(f"{service} ended:\n{self.log(service)}")
            with suppress(grpc.aio.AioRpcError):
                answer = await check(health_pb2.HealthCheckRequest(), timeout=5)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            # Nothing listens yet, or the service is still starting: a call without a pause would slow it down.
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running_fleet(home: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Fleet]:
    """Runs the three gRPC services; stops them at the end."""
    fleet = Fleet(home, environment)
    try:
        await fleet.start(*GRPC_SERVICES)
        yield fleet
    finally:
        fleet.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (loopback)
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
