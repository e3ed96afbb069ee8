"""Runs a service that counts its objects when a test asks for that.

python -m tests.support.object_counts SERVICE FILE

On SIGUSR1, it writes to FILE how many objects of each class it has, as JSON. Only classes of Heddle and of the libraries
with which a service keeps state count; the number of plain lists and the like changes for many reasons.
"""

import asyncio
import gc
import json
import os
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.support.fleet import Fleet
from worktree_svc.merges import conflict_forecast

_PACKAGES: Final = (
    "agent_svc",
    "asyncio",
    "concurrent",
    "google",
    "grpc",
    "heddle",
    "pathlib",
    "re",
    "scheduler_svc",
    "threading",
    "ui_svc",
    "worktree_svc",
)


def count_in(fleet: Fleet, service: str) -> None:
    """Makes the fleet start a service so that `counts` can be asked of it."""
    module = [sys.executable, "-m", __name__, service]
    fleet.commands[service] = ["env", f"PYTHONPATH={Path.cwd()}", *module, str(_file(fleet, service))]


async def counts(fleet: Fleet, service: str) -> dict[str, int]:
    """Returns how many objects of each class a service has."""
    file = _file(fleet, service)
    file.unlink(missing_ok=True)
    os.kill(fleet.process_id(service), signal.SIGUSR1)
    while not file.exists():  # noqa: ASYNC110 (another process causes it: there is no event to wait for)
        await asyncio.sleep(0.02)
    found: dict[str, int] = json.loads(file.read_text())
    return found


def _file(fleet: Fleet, service: str) -> Path:
    return fleet.home / f"{service}.objects"


def _write(file: Path) -> None:
    gc.collect()
    classes = Counter(type(each) for each in gc.get_objects())
    named = {
        f"{kind.__module__}.{kind.__qualname__}": count
        for kind, count in classes.items()
        if str(kind.__module__).partition(".")[0] in _PACKAGES
    }
    scratch = file.with_suffix(".new")
    scratch.write_text(json.dumps(named))
    scratch.replace(file)


def main(service: str, file: Path) -> None:
    """Runs the service until it ends."""
    # Otherwise, hundreds of tasks would have to pass until forecasts are forgotten.
    conflict_forecast.FORECASTS = 2  # type: ignore[misc]  # a constant of the service
    signal.signal(signal.SIGUSR1, lambda *_: _write(file))
    sys.argv = [service]
    runpy.run_module(service, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
