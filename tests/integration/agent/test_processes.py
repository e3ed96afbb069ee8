"""A command under its supervisor, without a session."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from agent_svc.processes import process_table, supervised
from tests.support.agents import DEADLINE
from tests.support.scheduler import eventually


@pytest_asyncio.fixture(name="command")
async def _command(tmp_path: Path) -> AsyncIterator[supervised.Command]:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    yield supervised.Command(("/bin/echo", "the last word"), tmp_path, {}, 1.0, lock)
    os.close(lock)


async def test_a_slow_reader_loses_nothing(
    command: supervised.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All output of a command reaches a reader that is busy long after the command ended."""
    monkeypatch.setattr(supervised, "DRAIN", 0.01)
    heard = bytearray()
    busy = asyncio.Event()

    async def read(stream: asyncio.StreamReader) -> None:
        while data := await stream.read(4):
            await busy.wait()
            heard.extend(data)

    async with asyncio.timeout(DEADLINE):
        process = await supervised.Supervisors().start(command, stdin=subprocess.DEVNULL)
        reader = asyncio.create_task(read(process.stdout))
        await process.wait()
        closing = asyncio.create_task(process.close(reader))
        done, _ = await asyncio.wait([closing], timeout=0.1)
        assert not done
        busy.set()
        await closing
    assert heard == b"the last word\n"


async def test_a_search_for_orphans_waits_for_a_start(
    command: supervised.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that was forked but is not known yet is no orphan: the search waits, and it lives on."""
    spawn, go = supervised._spawn, threading.Event()
    spawned: list[int] = []

    def spawn_slowly(*how: Any) -> "subprocess.Popen[bytes]":
        process = spawn(*how)
        spawned.append(process.pid)
        assert go.wait(DEADLINE)
        return process

    monkeypatch.setattr(supervised, "_spawn", spawn_slowly)
    monkeypatch.setattr(supervised, "_is_subreaper", lambda: True)
    # The other children of this process belong to the test runner.
    monkeypatch.setattr(supervised, "_children", lambda: list(spawned))
    supervisors = supervised.Supervisors()
    async with asyncio.timeout(DEADLINE):
        starting = asyncio.create_task(supervisors.start(command, stdin=subprocess.DEVNULL))
        await eventually(lambda: bool(spawned))
        # Another supervisor was killed.
        searching = asyncio.create_task(supervisors._gone(0, clean=False, marker=""))
        for _ in range(10):
            await asyncio.sleep(0)
        go.set()
        process = await starting
        ended = await process.wait()
        said = await process.stdout.read()
        await process.close(asyncio.create_task(asyncio.sleep(0)))
        await searching
    assert (ended.code, ended.lost) == (0, False)
    assert said == b"the last word\n"


async def test_a_search_for_orphans_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is no supervisor was left by one that was killed; it is ended before the search ends."""
    orphan = await asyncio.to_thread(os.posix_spawnp, "sleep", ["sleep", "600"], os.environ)
    monkeypatch.setattr(supervised, "_is_subreaper", lambda: True)
    monkeypatch.setattr(supervised, "_children", lambda: [orphan] if psutil.pid_exists(orphan) else [])
    async with asyncio.timeout(DEADLINE):
        await supervised.Supervisors()._gone(0, clean=False, marker="")
    assert not psutil.pid_exists(orphan)


def test_a_supervisor_starts_without_slow_imports(tmp_path: Path) -> None:
    """A supervisor starts without the modules that would take longer to import than the interpreter to start."""
    slow = {
        "asyncio",
        "contextlib",
        "enum",
        "json",
        "re",
        "signal",
        "socket",
        "subprocess",
        "threading",
        "typing",
    }
    shown = tmp_path / "shown.py"
    shown.write_text(
        "import sys\nfrom agent_svc.processes import supervisor\n"
        "def main(arguments):\n    print(*sys.modules)\n    sys.stdout.flush()\n    return 3\n"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", supervised.START, str(shown), supervised.ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "agent_svc.processes.supervisor" in ran.stdout.split()
    assert slow.isdisjoint(ran.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_descendants_are_found_without_the_table_of_all_processes() -> None:
    """The list that the kernel keeps for a process names the same descendants as the table of all processes."""
    command = ["sh", "-c", "(sh -c 'echo ready; exec sleep 60'; :) & wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = process_table.near_descendants(process.pid)
        assert sorted(found) == sorted(process_table.descendants(process.pid))
        assert len(found) >= 2
        os.killpg(process.pid, signal.SIGKILL)
    assert process_table.near_descendants(process.pid) == []
