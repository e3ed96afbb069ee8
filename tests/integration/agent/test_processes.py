"""A command under its supervisor, without a session."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent_svc.processes import supervised
from tests.support.agents import DEADLINE


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
