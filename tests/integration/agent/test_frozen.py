"""A worker whose processes are all suspended for some time, as in a paused container."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from heddle import pb
from tests.support.agents import AgentProcess, ending, payloads

# Seconds; longer than any limit of a session here.
FROZEN = 6.0


def send_all(root: psutil.Process, number: signal.Signals) -> None:
    """Signals a process, then all its descendants, so that no process notices that a child is suspended."""
    for process in (root, *root.children(recursive=True)):
        process.send_signal(number)


@pytest.mark.parametrize("limits", [{"timeout": 5.0}, {"silence": 5.0}], ids=["timeout", "silence"])
async def test_nothing_ends_for_time_that_it_did_not_have(tmp_path: Path, limits: dict[str, float]) -> None:
    """A session that is frozen for longer than its limit succeeds and is not reported as silent."""
    worker = AgentProcess(tmp_path)
    async with worker.serving() as agents:
        command = "command:echo begun; sleep 1; echo done"
        attempt = await agents.start(command, **limits)  # type: ignore[arg-type]  # by name
        await agents.until(attempt, lambda event: "begun" in event.output.text)
        assert worker.process is not None
        root = psutil.Process(worker.process.pid)
        send_all(root, signal.SIGSTOP)
        await asyncio.sleep(FROZEN)  # the elapsed time is the subject of the test
        send_all(root, signal.SIGCONT)
        events = await agents.events(attempt)
    assert ending(events) == ("SUCCEEDED", "")
    assert not payloads(events, "session_silent")
    assert events[-1].session_finished.outcome == pb.OUTCOME_SUCCEEDED
