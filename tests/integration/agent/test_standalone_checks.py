"""Checks outside a session: streamed, limited, and ended when their caller disconnects."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from agent_svc.sessions import standalone_checks
from heddle import pb
from heddle.files.worktree_paths import record_file_of, worktree_of
from heddle.names import RunName
from tests.support.agents import EPIC, Agents, HeldTimer, agents, all_gone, living, own_sleep, seconds
from tests.support.scheduler import eventually


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


def request(_worker: Agents, *commands: str, timeout: float | None = None) -> pb.RunChecksRequest:
    return pb.RunChecksRequest(
        resource=str(EPIC),
        epoch=1,
        checks=[pb.Check(name=f"c{place}", run=command) for place, command in enumerate(commands)],
        timeout=None if timeout is None else seconds(timeout),
        environment={"HEDDLE_RUN": "r"},
    )


async def reports(worker: Agents, asked: pb.RunChecksRequest) -> list[pb.CheckFinished]:
    return [answer.check async for answer in worker.stub.RunChecks(asked)]


async def test_every_check_is_reported(worker: Agents) -> None:
    """Checks run in the folder, in order; a failed check does not stop the others."""
    (worker.worktree / "here").touch()
    asked = request(worker, "test -e here && echo $HEDDLE_RUN", "exit 3", "true")
    found = await reports(worker, asked)
    assert [(report.name, report.ok) for report in found] == [("c0", True), ("c1", False), ("c2", True)]
    assert (found[0].output, found[1].exit_code) == ("r\n", 3)


async def test_a_limit_ends_them(worker: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the time limit the running check fails, and no other check starts."""
    monkeypatch.setattr(standalone_checks, "Timer", HeldTimer)
    reading = asyncio.create_task(
        reports(worker, request(worker, "touch begun; sleep 60", "true", timeout=7))
    )
    await eventually((worker.worktree / "begun").exists)
    assert HeldTimer.newest.seconds == 7
    HeldTimer.newest.end()
    (report,) = await reading
    assert not report.ok
    assert "over the time limit of 7 s" in report.output


async def test_what_runs_ends_with_the_call(worker: Agents) -> None:
    """When the caller disconnects, or the next call starts, no process remains."""
    sleep = own_sleep(60)
    for _ in range(2):
        call = worker.stub.RunChecks(request(worker, f"exec {sleep}"))
        reading = asyncio.create_task(call.read())
        await eventually(lambda: bool(living(sleep)))
        call.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert [report.ok for report in await reports(worker, request(worker, "true"))] == [True]
        await all_gone(sleep)


async def test_checks_run_only_in_worktrees_of_this_worker(worker: Agents, tmp_path: Path) -> None:
    """A run's checks run in the worktree of its merge, an epic's in its own; without one, nothing runs."""
    asked = request(worker, "touch here")
    for resource in ("runs/r", "runs/r/epics/other"):
        asked.resource = resource
        with pytest.raises(grpc.aio.AioRpcError, match="no worktree of") as caught:
            await reports(worker, asked)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    merge = worktree_of(tmp_path / "home", RunName("r"))
    merge.mkdir(parents=True)
    record_file_of(merge).write_text("{}")
    asked.resource = "runs/r"
    assert [report.ok for report in await reports(worker, asked)] == [True]
    assert (merge / "here").exists()
