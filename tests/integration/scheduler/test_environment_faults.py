"""Environment faults: the run waits without using a retry, reports the reason, and continues automatically."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from heddle import pb
from heddle.errors import ENVIRONMENT_FAULTS, HeddleError
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake


class Lack:
    """Fails one method of a worker while `missing` is true."""

    def __init__(self, worker: FakeWorker, method: str, reason: "pb.ErrorReason.ValueType") -> None:
        self.tries = 0
        self.missing = True
        self._method = method
        self._reason = reason
        worker.before = self._before

    def _before(self, method: str, _request: Any) -> None:
        if method == self._method and self.missing:
            self.tries += 1
            raise HeddleError(self._reason, "the disk is away: mount it")


CASES = [
    *(("EnsureWorktree", reason) for reason in sorted(ENVIRONMENT_FAULTS)),
    ("StartSession", pb.ERROR_REASON_DISK_FULL),
    ("CommitTask", pb.ERROR_REASON_PROJECT_UNAVAILABLE),
    ("MergeBranch", pb.ERROR_REASON_PROJECT_UNAVAILABLE),
]


@pytest.mark.parametrize(("method", "reason"), CASES)
async def test_a_fault_is_waited_for(
    worker: FakeWorker, scheduler: Scheduler, method: str, reason: "pb.ErrorReason.ValueType"
) -> None:
    """A fault at any step uses one attempt and no retry; run and task have the reason; the run succeeds."""
    lack = Lack(worker, method, reason)
    run = await scheduler.create(make_plan({"a": ["one"]}))
    events = await scheduler.until(run, lambda event: event.HasField("environment_fault"))
    fault = events[-1].environment_fault
    assert (fault.message, f"ERROR_REASON_{fault.reason}") == (
        "the disk is away: mount it",
        pb.ErrorReason.Name(reason),
    )
    assert (await scheduler.run(run)).fault == "the disk is away: mount it"
    place = (
        (await scheduler.epics(run))["a"]
        if method == "MergeBranch"
        else (await scheduler.tasks(run))["a/one"]
    )
    assert place.reason == "the disk is away: mount it"

    async def tried_again() -> bool:
        return lack.tries >= 3

    await eventually(tried_again)
    lack.missing = False
    events = await scheduler.finished(run)
    kinds = [event.WhichOneof("payload") for event in events]
    assert [kinds.count(each) for each in ("environment_fault", "environment_recovered", "task_started")] == [
        1,
        1,
        1,
    ]
    assert "task_failed" not in kinds
    ended = await scheduler.run(run)
    assert (ended.state, ended.fault, (await scheduler.tasks(run))["a/one"].reason) == (
        pb.RUN_STATE_SUCCEEDED,
        "",
        "",
    )


@pytest.mark.parametrize("method", ["EnsureWorktree", "CommitTask", "MergeBranch"])
async def test_a_run_that_waits_can_be_cancelled(
    worker: FakeWorker, scheduler: Scheduler, method: str
) -> None:
    """A run whose repository is missing can be cancelled, and then no longer reports the fault."""
    Lack(worker, method, pb.ERROR_REASON_PROJECT_UNAVAILABLE)
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.until(run, lambda event: event.HasField("environment_fault"))
    ended = (await scheduler.api.CancelRun(pb.CancelRunRequest(name=run), timeout=20)).run
    assert (ended.state, ended.fault) == (pb.RUN_STATE_CANCELLED, "")


async def test_a_run_that_waits_holds_no_slot(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Attempts that wait before their session starts leave the slots to runs whose repository is available."""
    worker.slots = 1
    lack = Lack(worker, "EnsureWorktree", pb.ERROR_REASON_PROJECT_UNAVAILABLE)
    away = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.until(away, lambda event: event.HasField("environment_fault"))
    before = worker.before
    worker.before = lambda method, request: before(method, request) if away in str(request) else None
    other = await scheduler.create(make_plan({"b": ["one"]}))
    assert (await scheduler.finished(other))[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    lack.missing = False
    assert (await scheduler.finished(away))[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED


async def test_a_result_that_the_remote_refuses(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A run whose result the remote refuses fails and says so; once a push is accepted, it succeeds."""
    may_end = asyncio.Event()

    async def play(_session: FakeSession) -> pb.SessionFinished:
        await may_end.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one"]}))
    result = (await scheduler.run(run)).branch
    worker.refused = {result: "pre-receive hook declined"}
    may_end.set()
    await scheduler.finished(run)
    ended = await scheduler.run(run)
    assert ended.state == pb.RUN_STATE_FAILED
    assert f"heddle push {run.removeprefix('runs/')}" in ended.reason
    assert [(each.branch, each.error) for each in ended.unpushed] == [(result, "pre-receive hook declined")]
    still = (await scheduler.api.PushRun(pb.PushRunRequest(name=run))).run
    assert (still.state, len(still.unpushed)) == (pb.RUN_STATE_FAILED, 1)
    worker.refused = {}
    pushed = (await scheduler.api.PushRun(pb.PushRunRequest(name=run))).run
    assert not pushed.unpushed
    events = await scheduler.finished(run, after=ended.sequence)
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED


async def test_a_leader_that_waits_is_replaced(tmp_path: Path) -> None:
    """The next leader continues the wait, and clears the fault once nothing is missing."""
    worker = FakeWorker()
    lack = Lack(worker, "EnsureWorktree", pb.ERROR_REASON_DISK_FULL)
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path) as first:
            run = await first.create(make_plan({"a": ["one"]}))
            await first.until(run, lambda event: event.HasField("environment_fault"))
        lack.missing = False
        async with scheduling(address, tmp_path) as second:
            events = await second.finished(run)
            ended = await second.run(run)
    assert (ended.state, ended.fault) == (pb.RUN_STATE_SUCCEEDED, "")
    assert [event.WhichOneof("payload") for event in events].count("task_started") == 1
