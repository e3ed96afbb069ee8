"""The four services as real processes, which a test may restart individually."""

import asyncio
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from heddle import pb, sockets
from heddle.client import HeddleClient
from heddle.identity import token_file
from tests.support import warm
from tests.support.ports import free_ports

SERVICES = ("scheduler", "worktree", "agent", "ui")
START_TIMEOUT = 90.0
END_TIMEOUT = 60.0


class Servers:
    """Heddle on free loopback ports, with a separate home folder. `url` is the board's address."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self._home = home
        self._extra = dict(environment or {})
        self._home.mkdir()
        scheduler, ui = (f"127.0.0.1:{port}" for port in free_ports(2))
        self._addresses = {
            "scheduler": scheduler,
            "worktree": sockets.address(home, "worktree"),
            "agent": sockets.address(home, "agent"),
            "ui": ui,
        }
        self._processes: dict[str, warm.Process] = {}
        self.url = f"http://{self._addresses['ui']}"

    @property
    def token(self) -> str:
        """The operator's token."""
        return token_file.read(token_file.operator_file(self._home))

    @property
    def cookie(self) -> Any:
        """The cookie of a signed-in browser, in the form of playwright, which does not export its type."""
        return self.cookie_of(self.token)

    def cookie_of(self, token: str) -> Any:
        """Returns the cookie of a browser that is signed in with a token."""
        name = f"heddle-session-{self.url.rpartition(':')[2]}"
        return {"name": name, "value": token, "url": self.url}

    @property
    def scheduler(self) -> str:
        """The address of the API."""
        return self._addresses["scheduler"]

    def client(self, token: str = "") -> HeddleClient:
        """Returns a client with a token, by default the operator's."""
        return HeddleClient(self.scheduler, token=token or self.token)

    def limited_token(self, project: Path) -> str:
        """Returns a new token that is limited to a project."""

        async def create() -> str:
            async with self.client() as client:
                request = pb.CreateTokenRequest(user="guest", projects=[str(project)])
                return (await client.create_token(request)).secret

        # The browser's driver has its own event loop in this thread.
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, create()).result()

    def start(self) -> None:
        for name in SERVICES:
            self._start(name)
        self.wait_until_ready()

    def end(self, *names: str, kill: bool = False) -> None:
        """Ends services; with `kill`, by SIGKILL."""
        for name in names:
            self._processes[name].send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        for name in names:
            self._processes.pop(name).wait(END_TIMEOUT)

    def begin(self, *names: str) -> None:
        """Starts services again after `end`."""
        for name in names:
            self._start(name)
        self.wait_until_ready()

    def stop(self) -> None:
        for name in list(self._processes):
            self._processes[name].terminate()
        for process in self._processes.values():
            process.wait(END_TIMEOUT)

    def log(self, name: str) -> str:
        return (self._home / f"{name}.log").read_text()

    def wait_until_ready(self) -> None:
        """Returns once the board answers and the scheduler has a worker."""
        give_up = time.monotonic() + START_TIMEOUT
        while True:
            try:
                with urllib.request.urlopen(self._request("workers"), timeout=5) as answer:  # noqa: S310 (loopback)
                    if b'"connected":true' in answer.read():
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            if time.monotonic() > give_up:
                logs = "\n".join(f"--- {name}\n{self.log(name)[-2000:]}" for name in SERVICES)
                raise AssertionError(f"the services were not ready in {START_TIMEOUT} s\n{logs}")
            time.sleep(0.1)

    def _request(self, path: str) -> urllib.request.Request:
        return urllib.request.Request(  # noqa: S310 (loopback)
            f"{self.url}/api/{path}", headers={"Authorization": f"Bearer {self.token}"}
        )

    def _start(self, name: str) -> None:
        environment = {
            **os.environ,
            "HEDDLE_HOME": str(self._home),
            "HEDDLE_LISTEN": self._addresses[name],
            "HEDDLE_SCHEDULER": self._addresses["scheduler"],
            "HEDDLE_WORKERS": f"local={self._addresses['worktree']}+{self._addresses['agent']}",
            "HEDDLE_SLOTS": "12",
            "HEDDLE_BASE_LOOK_EVERY": "0.5",
            "HEDDLE_MIN_FREE_BYTES": "0",
            "HEDDLE_TERMINAL": "true",
            **self._extra,
        }
        # With it, NiceGUI would treat the server as one of its own tests.
        environment.pop("PYTEST_CURRENT_TEST", None)
        with (self._home / f"{name}.log").open("ab") as log:
            self._processes[name] = warm.start(
                f"{name}_svc", env=environment, cwd=self._home, stdout=log.fileno(), stderr=log.fileno()
            )
