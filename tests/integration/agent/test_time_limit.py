"""The time limit of a session, which is over when the test says so."""

from pathlib import Path

import pytest

from agent_svc.sessions import session as session_module
from tests.support.agents import HeldTimer, agents, ending, payloads
from tests.support.scheduler import eventually


async def test_timeout_covers_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit covers the whole session: it ends a check that hangs, and later checks do not run."""
    monkeypatch.setattr(session_module, "Timer", HeldTimer)
    async with agents(tmp_path) as worker:
        checks = {"hang": "touch begun; sleep 60", "next": "true"}
        attempt = await worker.start("command:true", checks=checks, timeout=90)
        await eventually((worker.worktree / "begun").exists)
        assert HeldTimer.newest.seconds == 90
        HeldTimer.newest.end()
        events = await worker.events(attempt)
        assert ending(events) == ("TIMED_OUT", "over its time limit of 90 s")
        assert len(payloads(events, "check_finished")) == 1
