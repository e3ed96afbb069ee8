"""A session on a worker that lacks a resource when the session starts."""

import errno
import os
from pathlib import Path

import pytest

from agent_svc.log.spool import SessionFolder
from heddle import pb
from tests.support.agents import agents, ending


async def test_a_session_without_a_descriptor_for_its_lock_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session fails with the reason and releases its slot; the next session succeeds."""
    real = SessionFolder.take_lock

    def want(folder: SessionFolder) -> int | None:
        monkeypatch.setattr(SessionFolder, "take_lock", real)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(folder.path / "lock"))

    async with agents(tmp_path) as worker:
        monkeypatch.setattr(SessionFolder, "take_lock", want)
        outcome, reason = ending(await worker.events(await worker.start("command:true")))
        assert (outcome, "Too many open files" in reason) == ("FAILED", True)
        state = (await worker.stub.GetWorker(pb.GetWorkerRequest())).worker
        assert state.running_sessions == 0
        next_one = await worker.start("command:echo x > x", number=2)
        assert ending(await worker.events(next_one)) == ("SUCCEEDED", "")
