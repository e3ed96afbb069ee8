"""Processes that an agent's program leaves running when it ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from heddle import pb
from tests.support.agents import Agents, agents, ending, output, payloads, seconds


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


def _work(events: list[pb.Event]) -> list[pb.BackgroundWork]:
    return [event.background_work for event in payloads(events, "background_work")]


async def test_checks_wait_for_what_the_agent_left_running(worker: Agents) -> None:
    """Checks start only after a child that outlives the agent's program has ended and its output is stored."""
    command = "command:(sleep 2.5; echo late; echo x > late.txt) & echo begun"
    events = await worker.run(command, checks={"there": "cat late.txt"}, background_wait=60)
    assert ending(events) == ("SUCCEEDED", "")
    assert "late" in output(events, pb.OUTPUT_STREAM_STDOUT)
    waiting, over = _work(events)
    assert waiting.count == 1
    assert "sleep 2.5" in waiting.running[0]
    assert waiting.limit == seconds(60)
    assert over == pb.BackgroundWork()


async def test_work_without_end_is_stopped_and_told(worker: Agents) -> None:
    """At the limit, a process that still runs is ended and named by its command line; the checks then run."""
    command = (
        "command:setsid sleep 617.5 & until ps -o args= -p $! | grep -q '^sleep'; do :; done; echo begun"
    )
    events = await worker.run(command, checks={"gone": "! pgrep -f 'sleep 617[.]5'"}, background_wait=0.5)
    assert ending(events) == ("SUCCEEDED", "")
    waiting, stopped = _work(events)
    assert list(waiting.running) == ["sleep 617.5"]
    assert stopped == pb.BackgroundWork(stopped=["sleep 617.5"], count=1)


async def test_idle_server_is_not_waited_for(worker: Agents) -> None:
    """An idle server is ended and reported long before the limit, because it would never end."""
    server = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print('up', flush=True); time.sleep(600)"
    async with asyncio.timeout(45):
        events = await worker.run(f'command:python3 -c "{server}" & sleep 1; echo done', background_wait=600)
    assert ending(events) == ("SUCCEEDED", "")
    assert "socket.create_server" in _work(events)[-1].stopped[0]


async def test_failed_agent_is_not_waited_for(worker: Agents) -> None:
    """Processes that a failed agent left running are ended at once."""
    events = await worker.run("command:sleep 618 & exit 3", background_wait=600)
    assert ending(events) == ("FAILED", "the agent exited with code 3")
    assert not _work(events)


async def test_stop_ends_the_wait(worker: Agents) -> None:
    """A stop by the operator ends the wait before its limit."""
    attempt = await worker.start("command:sleep 619 & echo begun", background_wait=600)
    await worker.until(attempt, lambda event: event.HasField("background_work"))
    await worker.stop(attempt)
    assert ending(await worker.events(attempt))[0] == "STOPPED"
