"""The cost of a sandbox: the start and end of a command under its supervisor, in each mode and without one."""

import asyncio
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from agent_svc.processes.supervised import Command, Supervised, Supervisors
from agent_svc.sandbox.bubblewrap import Bubblewrap, NoSandboxError, Resident
from agent_svc.sandbox.rules import Network, Rules
from tests.bench.table import Table, milliseconds, percentile

STARTS: Final = 60

MODES: Final[tuple[Network, ...]] = ("open", "internet", "none")

Sandboxes = dict[str, Bubblewrap | None]


async def run() -> Table:
    """Measures all by turns; takes about 20 seconds. Raises NoSandboxError if bubblewrap does not work."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("home", "worktree", "scratch"):
            (folder / each).mkdir()
        sandboxes = _sandboxes(folder / "home")
        seconds: dict[str, list[float]] = {mode: [] for mode in sandboxes}
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
        worked = dict.fromkeys(sandboxes, 0.0)
        for _ in range(STARTS):
            for mode, sandbox in sandboxes.items():
                before = _processor_seconds()
                seconds[mode].append(await _start(folder, sandbox, lock))
                worked[mode] += _processor_seconds() - before
        kept = {pid for sandbox in sandboxes.values() if sandbox for pid in sandbox.processes()}
        memory = {mode: await _memory(folder, sandbox, lock, kept) for mode, sandbox in sandboxes.items()}
        shared = {mode: _pasta(sandbox) for mode, sandbox in sandboxes.items()}
        os.close(lock)
        for sandbox in filter(None, sandboxes.values()):
            sandbox.close()
    # The fastest runs are the most meaningful on a machine with other load.
    rows = [("fastest start, ms", *(milliseconds(min(each)) for each in seconds.values()))]
    rows += [
        (
            f"{percent}th percentile, ms",
            *(milliseconds(percentile(each, percent)) for each in seconds.values()),
        )
        for percent in (50, 90)
    ]
    rows.append(("mean processor time, ms", *(milliseconds(each / STARTS) for each in worked.values())))
    rows.append(("memory of an idle session, MB", *(_megabytes(each) for each in memory.values())))
    rows.append(("memory for all sessions, MB", *(_megabytes(each) for each in shared.values())))
    return Table(
        "Sandbox",
        f"{STARTS} starts of /bin/true under a supervisor each way, by turns, until its whole tree is gone. The"
        " columns are the modes of HEDDLE_SANDBOX_NETWORK. Memory is proportional: shared pages are divided.",
        ("figure", *seconds),
        rows,
    )


def _sandboxes(home: Path) -> Sandboxes:
    """Returns the sandbox of each mode that this machine can provide."""
    found: Sandboxes = {"no sandbox": None, "open": Bubblewrap.find(Rules(home))}
    for mode in MODES[1:]:
        try:
            found[mode] = Bubblewrap.find(Rules(home, network=mode))
        except NoSandboxError as error:
            print(f"not measured: {mode}: {error}")
    return found


def _processor_seconds() -> float:
    """Returns the processor time of this process and its ended children, which hardly depends on other load."""
    used = (resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


async def _process(folder: Path, sandbox: Bubblewrap | None, lock: int, *arguments: str) -> Supervised:
    worktree = folder / "worktree"
    wrapper: tuple[str, ...] = ()
    calls = b""
    if sandbox is not None:
        resident = Resident(worktree, folder / "scratch", os.environ)
        wrapper = await asyncio.to_thread(sandbox.wrapper, resident)
        calls = sandbox.system_calls(resident)
    command = Command(
        arguments, worktree, dict(os.environ), grace=1, lock=lock, wrapper=wrapper, system_calls=calls
    )
    return await Supervisors().start(command, stdin=subprocess.DEVNULL)


async def _start(folder: Path, sandbox: Bubblewrap | None, lock: int) -> float:
    began = time.perf_counter()
    process = await _process(folder, sandbox, lock, "/bin/true")
    readers = [asyncio.create_task(_drain(each)) for each in (process.stdout, process.stderr)]
    await process.wait()
    seconds = time.perf_counter() - began
    await process.close(*readers)
    return seconds


async def _memory(folder: Path, sandbox: Bubblewrap | None, lock: int, kept: set[int]) -> int:
    """Returns the bytes that a session uses whose command sleeps, without the command."""
    process = await _process(folder, sandbox, lock, "/bin/sh", "-c", "echo; exec sleep 60")
    command = await process.started()
    # Until it has replaced its program, it shares the memory of its supervisor.
    await process.stdout.readline()
    readers = [asyncio.create_task(_drain(each)) for each in (process.stdout, process.stderr)]
    tree = [each for child in psutil.Process().children() if child.pid not in kept for each in _tree(child)]
    used = sum(each.memory_full_info().pss for each in tree if each.pid != command)
    process.stop(0)
    await process.wait()
    await process.close(*readers)
    return used


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _pasta(sandbox: Bubblewrap | None) -> int:
    pids = sandbox.processes() if sandbox else []
    return sum(each.memory_full_info().pss for pid in pids for each in _tree(psutil.Process(pid)))


async def _drain(stream: asyncio.StreamReader) -> None:
    await stream.read()
