"""Runs whose worker does not come back."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.api import store_calls
from scheduler_svc.pools import workers
from scheduler_svc.pools.worker import Worker
from scheduler_svc.pools.workers import Workers
from tests.support.scheduler import eventually, make_plan, scheduling, serving_fake
from tests.support.services import new_socket

ENVIRONMENT = {"HEDDLE_LEASE": "0.5", "HEDDLE_STOP_GRACE": "0"}


async def _work(_session: FakeSession) -> pb.SessionFinished:
    """Works until it is stopped."""
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_run_whose_worker_left_the_fleet_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says which worker is gone; a stop or cancellation says what it waits for, and takes effect after the lease.

    When the worker is back, its session is stopped, whose attempt has ended.
    """
    monkeypatch.setattr(store_calls, "PATIENCE", 0.2)
    monkeypatch.setattr(store_calls, "_LOOK", 0.1)
    # The lease counts only once all calls before its end have returned, however slow the machine is.
    may_expire, has_let_go = asyncio.Event(), Workers.has_let_go
    monkeypatch.setattr(Workers, "has_let_go", lambda of, name: may_expire.is_set() and has_let_go(of, name))
    worker = FakeWorker()
    worker.play = _work
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path, environ=ENVIRONMENT) as before:
            run = await before.create(make_plan({"a": ["one", "two"]}))
            await eventually(lambda: len(worker.live) == 1)
        other = scheduling(address, tmp_path, environ=ENVIRONMENT, worker_name="other")
        async with other as scheduler:
            waits = await scheduler.until(run, lambda event: event.HasField("run_waits"))
            assert waits[-1].run_waits.reason == (
                "worker local is no longer in the fleet; the run continues once it is added again, or cancel the run"
            )
            attempt = f"{run}/epics/a/tasks/one/attempts/1"
            stopped = (await scheduler.api.StopAttempt(pb.StopAttemptRequest(name=attempt))).attempt
            assert not stopped.HasField("end_time")
            cancelled = (await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))).run
            assert cancelled.state == pb.RUN_STATE_CANCELLING
            may_expire.set()
            told = [event.run_waits.reason for event in await scheduler.finished(run)]
            assert any("its sessions end by themselves when its lease expires" in reason for reason in told)
            done = await scheduler.run(run)
            assert (done.state, done.waits_for) == (pb.RUN_STATE_CANCELLED, "")
            first = await scheduler.api.GetAttempt(pb.GetAttemptRequest(name=attempt))
            assert first.attempt.state == pb.ATTEMPT_STATE_STOPPED
        assert len(worker.live) == 1
        async with scheduling(address, tmp_path, environ=ENVIRONMENT):
            await eventually(lambda: worker.live == [])


async def test_a_scheduler_waits_a_moment_for_a_worker_that_starts_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that does not listen yet when its scheduler starts is connected once the scheduler serves."""
    monkeypatch.setattr(workers, "_MOMENT", 60)
    asked, heartbeat = asyncio.Event(), Workers._heartbeat

    async def noted(of: Workers, worker: Worker) -> None:
        await heartbeat(of, worker)
        asked.set()

    monkeypatch.setattr(Workers, "_heartbeat", noted)
    address = new_socket()

    async def late() -> None:
        await asked.wait()
        await stack.enter_async_context(serving_fake(FakeWorker(), address))

    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(late())
        scheduler = await stack.enter_async_context(scheduling(address, tmp_path))
        await starting
        listed = await scheduler.api.ListWorkers(pb.ListWorkersRequest())
        assert [worker.connected for worker in listed.workers] == [True]
