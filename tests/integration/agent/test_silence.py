"""Agents that produce no output for a long time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from heddle import pb
from tests.support.agents import Agents, Step, agents, ending, output, payloads, seconds


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


async def test_silent_agent_is_reported_and_stopped(worker: Agents) -> None:
    """An agent that is silent for its limit is stopped; the log and the reason say why, and no check runs."""
    attempt = await worker.start("command:echo begun; sleep 600", silence=0.3, checks={"never": "true"})
    events = await worker.events(attempt)
    assert ending(events) == ("FAILED", "the agent said and did nothing for 0.3 s")
    assert "nothing for 0.3 s" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    (reported,) = payloads(events, "session_silent")
    assert reported.session_silent == pb.SessionSilent(silence=seconds(0.15), limit=seconds(0.3))
    assert reported.time.ToNanoseconds() < events[-1].time.ToNanoseconds() - 100_000_000
    assert not payloads(events, "check_finished")


async def test_agent_that_speaks_after_the_report_goes_on(worker: Agents) -> None:
    """Output after a report restarts the full limit, and a later silence is reported again."""
    command = "command:for i in 1 2; do sleep 1; echo $i; done"
    events = await worker.events(await worker.start(command, silence=1.6))
    assert ending(events) == ("SUCCEEDED", "")
    assert len(payloads(events, "session_silent")) == 2


async def test_agent_that_speaks_now_and_then_goes_on(worker: Agents) -> None:
    """Every sign of activity restarts the limit; checks may be silent for any time."""
    command = "command:for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done"
    attempt = await worker.start(command, silence=1.5, checks={"slow": "sleep 1.8"})
    assert ending(await worker.events(attempt)) == ("SUCCEEDED", "")


async def test_waiting_for_the_operator_is_no_silence(worker: Agents) -> None:
    """Time with an open question does not count as silence, and the answer restarts the limit."""
    script = [Step(ask=Step.Ask(question="May I?")), Step(wait=Step.Wait(duration=seconds(600)))]
    attempt = await worker.start(script=script, silence=3.0)
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    await asyncio.sleep(3.5)  # longer than the limit: only elapsed time can show that nothing happens
    assert (await worker.session(attempt)).state == pb.SESSION_STATE_RUNNING
    await worker.answer(attempt, asked.approval_requested.approval_id, approved=True)
    assert ending(await worker.events(attempt))[1] == "the agent said and did nothing for 3 s"
