"""Runs for the browser tests, started and checked over the web app's endpoints."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

ENDED = {"accepted", "failed", "stopped", "lost"}


class Runs:
    """Starts runs of plans on one repository."""

    def __init__(self, url: str, token: str, repository: Path) -> None:
        self._url = url
        self._token = token
        self.repository = repository

    def start(self, plan: str, **options: object) -> str:
        """Returns the name of the new run."""
        name = self.post("runs", yaml=plan, project=str(self.repository), **options)["name"]
        assert isinstance(name, str)
        return name

    def cancel(self, name: str) -> None:
        self.post(f"{name}:cancel")

    def wait_for(self, attempt: str, *states: str, timeout: float = 40.0) -> dict[str, Any]:
        """Returns the attempt once it is in one of the states; raises if it ends in another."""
        give_up = time.monotonic() + timeout
        found: dict[str, Any] = {}
        while time.monotonic() < give_up:
            try:
                found = self.get(attempt)
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
            if found.get("state") in states:
                return found
            if found.get("state") in ENDED:
                break
            time.sleep(0.1)
        raise AssertionError(f"{attempt} is {found.get('state')} ({found.get('reason')}), not {states}")

    def get_run(self, name: str) -> dict[str, Any]:
        page = self.get("runs")
        found: dict[str, Any] = next(run for run in page["runs"] if run["name"] == name)
        return found

    def wait_for_run(self, name: str, *states: str, timeout: float = 40.0) -> dict[str, Any]:
        """Returns the run once it is in one of the states."""
        give_up = time.monotonic() + timeout
        while (run := self.get_run(name))["state"] not in states:
            assert time.monotonic() < give_up, f"{name} is {run['state']} ({run['reason']}), not {states}"
            time.sleep(0.1)
        return run

    def get(self, path: str) -> Any:
        return self._call(urllib.request.Request(f"{self._url}/api/{path}"))  # noqa: S310 (loopback)

    def post(self, path: str, **body: object) -> Any:
        request = urllib.request.Request(  # noqa: S310 (loopback)
            f"{self._url}/api/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        return self._call(request)

    def _call(self, request: urllib.request.Request) -> Any:
        request.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (loopback)
            return json.load(answer)
