"""The cost of the write boundary: the start and end of a command under its supervisor, with and without a sandbox."""

import asyncio
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from agent_svc.processes.supervised import Command, Supervisors
from agent_svc.sandbox.bubblewrap import Bubblewrap, Resident
from tests.bench.table import Table, milliseconds, percentile

STARTS: Final = 60


async def run() -> Table:
    """Measures both alternately; takes about ten seconds. Raises NoSandboxError if bubblewrap does not work."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("home", "worktree", "scratch"):
            (folder / each).mkdir()
        sandbox = Bubblewrap.find(folder / "home")
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
        for _ in range(STARTS):
            for sandboxed, found in seconds.items():
                found.append(await _start(folder, sandbox if sandboxed else None, lock))
        os.close(lock)
    held, free = seconds[True], seconds[False]
    # The fastest runs are the most meaningful on a machine with other load.
    rows = [_row("fastest", min(held), min(free))]
    rows += [
        _row(f"{percent}th percentile", percentile(held, percent), percentile(free, percent))
        for percent in (50, 90)
    ]
    return Table(
        "Sandbox",
        f"{STARTS} starts of /bin/true under a supervisor each way, by turns, until its whole tree is gone.",
        ("figure", "sandbox, ms", "without, ms", "ratio"),
        rows,
    )


def _row(figure: str, held: float, free: float) -> tuple[str, ...]:
    return figure, milliseconds(held), milliseconds(free), f"{held / free:.1f} x"


async def _start(folder: Path, sandbox: Bubblewrap | None, lock: int) -> float:
    worktree = folder / "worktree"
    began = time.perf_counter()
    wrapper: tuple[str, ...] = ()
    if sandbox is not None:
        wrapper = await asyncio.to_thread(sandbox.wrapper, Resident(worktree, folder / "scratch", os.environ))
    command = Command(("/bin/true",), worktree, dict(os.environ), grace=1, lock=lock, wrapper=wrapper)
    process = await Supervisors().start(command, stdin=subprocess.DEVNULL)
    readers = [asyncio.create_task(_drain(each)) for each in (process.stdout, process.stderr)]
    await process.wait()
    seconds = time.perf_counter() - began
    await process.close(*readers)
    return seconds


async def _drain(stream: asyncio.StreamReader) -> None:
    await stream.read()
