"""Agents that produce no output for a long time, which the test lets pass without waiting for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from agent_svc.sessions import conversation, outcome
from agent_svc.sessions import silence as watch
from heddle import pb
from tests.support.agents import DEADLINE, Agents, Step, agents, ending, output, payloads, seconds

# Seconds; no test takes so long.
LIMIT = 600.0


class Silence:
    """The time in which agents are silent: it passes only when the test says so."""

    def __init__(self) -> None:
        self.watchers = 0
        self.reports = 0
        self._left = 0.0
        self._news = asyncio.Condition()

    async def tick(self, wanted: float) -> float:
        """Takes the place of `running_time.tick`."""
        async with self._news:
            self.watchers += 1
            self._news.notify_all()
            try:
                await self._news.wait_for(lambda: self._left > 0)
            finally:
                self.watchers -= 1
            passed = min(wanted, self._left)
            self._left -= passed
            return passed

    def report(self, limit: Duration) -> pb.SessionSilent:
        """Takes the place of `outcome.half_silent`."""
        self.reports += 1
        return outcome.half_silent(limit)

    async def last(self, time: float) -> None:
        """Lets `time` pass; returns once all of it has passed and its effects are known."""
        await self.begin(time)
        async with asyncio.timeout(DEADLINE), self._news:
            await self._news.wait_for(lambda: self._left <= 0 and self.watchers > 0)

    async def begin(self, time: float) -> None:
        async with self._news:
            self._left += time
            self._news.notify_all()


@pytest.fixture(name="silence")
def _silence(monkeypatch: pytest.MonkeyPatch) -> Silence:
    silence = Silence()
    monkeypatch.setattr(conversation, "running_time", silence)
    monkeypatch.setattr(watch, "half_silent", silence.report)
    return silence


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


def waiting_for(*files: str) -> str:
    """Returns an agent that prints the name of each file once that file exists."""
    return "command:" + "; ".join(f"until test -e {file}; do sleep 0.02; done; echo {file}" for file in files)


async def test_silent_agent_is_reported_and_stopped(worker: Agents, silence: Silence) -> None:
    """An agent that is silent for its limit is stopped; the log and the reason say why, and no check runs."""
    attempt = await worker.start("command:echo begun; sleep 600", silence=LIMIT, checks={"never": "true"})
    await worker.until_says(attempt, "begun")
    await silence.last(LIMIT / 2 - 10)
    assert silence.reports == 0
    await silence.last(20)
    assert silence.reports == 1
    await silence.last(LIMIT / 2 - 20)
    assert silence.reports == 1
    await silence.begin(20)
    events = await worker.events(attempt)
    assert ending(events) == ("FAILED", "the agent said and did nothing for 600 s")
    assert "nothing for 600 s" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    (reported,) = payloads(events, "session_silent")
    assert reported.session_silent == pb.SessionSilent(silence=seconds(LIMIT / 2), limit=seconds(LIMIT))
    assert not payloads(events, "check_finished")


async def test_agent_that_speaks_after_the_report_goes_on(worker: Agents, silence: Silence) -> None:
    """Output after a report restarts the full limit, and a later silence is reported again."""
    attempt = await worker.start(waiting_for("one", "two"), silence=LIMIT)
    await silence.last(LIMIT - 10)
    assert silence.reports == 1
    (worker.worktree / "one").touch()
    await worker.until_says(attempt, "one")
    await silence.last(LIMIT - 10)
    assert silence.reports == 2
    (worker.worktree / "two").touch()
    events = await worker.events(attempt)
    assert ending(events) == ("SUCCEEDED", "")
    assert len(payloads(events, "session_silent")) == 2


async def test_agent_that_speaks_now_and_then_goes_on(worker: Agents, silence: Silence) -> None:
    """Every sign of activity restarts the limit; checks may be silent for any time."""
    names = ("one", "two", "three", "four")
    check = "until test -e checked; do sleep 0.02; done"
    attempt = await worker.start(waiting_for(*names), silence=LIMIT, checks={"slow": check})
    for name in names:
        await silence.last(LIMIT / 2 - 10)
        (worker.worktree / name).touch()
        await worker.until_says(attempt, name)
    await worker.until_says(attempt, "Check 'slow'")
    assert silence.watchers == 0
    (worker.worktree / "checked").touch()
    events = await worker.events(attempt)
    assert ending(events) == ("SUCCEEDED", "")
    assert not payloads(events, "session_silent")


async def test_waiting_for_the_operator_is_no_silence(worker: Agents, silence: Silence) -> None:
    """Time with an open question does not count as silence, and the answer restarts the limit."""
    script = [Step(ask=Step.Ask(question="May I?")), Step(wait=Step.Wait(duration=seconds(600)))]
    attempt = await worker.start(script=script, silence=LIMIT, environment={"HEDDLE_SCRIPT_SPEED": "1"})
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    await silence.last(2 * LIMIT)
    assert (await worker.session(attempt)).state == pb.SESSION_STATE_RUNNING
    await worker.answer(attempt, asked.approval_requested.approval_id, approved=True)
    await silence.last(LIMIT - 10)
    assert silence.reports == 1
    await silence.begin(20)
    assert ending(await worker.events(attempt))[1] == "the agent said and did nothing for 600 s"
