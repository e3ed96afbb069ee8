"""A scheduler that ends in the middle of a run, and its successor."""

import asyncio
import threading
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.store.db.leadership import check_epoch, read_epoch
from tests.support.agents import DEADLINE
from tests.support.postgres import Postgres
from tests.support.scheduler import eventually, make_plan, scheduling, serving_fake


class Gate:
    """Makes sessions wait until the test opens the gate."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.played: Counter[str] = Counter()

    async def play(self, session: FakeSession) -> pb.SessionFinished:
        self.played[session.request.attempt] += 1
        await self.open.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


@pytest.mark.parametrize("ends_while_away", [False, True])
async def test_restart_takes_up_what_runs(database_url: str, tmp_path: Path, ends_while_away: bool) -> None:
    """A new scheduler on the same database continues live sessions; nothing runs twice and nothing is lost."""
    worker = FakeWorker()
    gate = Gate()
    worker.play = gate.play
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path, database_url) as first:
            run = await first.create(make_plan({"a": ["one", "two"], "b": ["one", "two"]}))
            for epic in ("a", "b"):
                await first.until(run, lambda event, epic=epic: event.epic == epic and event.HasField("session_started"))  # type: ignore[misc]  # fmt: skip
        assert len(worker.live) == 2
        if ends_while_away:
            gate.open.set()
            async with asyncio.timeout(60):
                await asyncio.gather(*(session.ended.wait() for session in worker.sessions.values()))
        async with scheduling(address, tmp_path, database_url) as second:
            gate.open.set()
            events = await second.finished(run)
            ended = await second.run(run)

    assert ended.state == pb.RUN_STATE_SUCCEEDED
    assert set(gate.played.values()) == {1}
    assert len(gate.played) == 4
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert sum(event.HasField("session_started") for event in events) == 4
    ensured = Counter(call.attempt for call in worker.called("EnsureWorktree"))
    assert set(ensured.values()) == {1}  # a repeated call could clean a worktree in which an agent works
    assert worker.epoch == 2


@pytest.mark.parametrize("method", ["EnsureWorktree", "StartSession", "CommitTask", "MergeBranch"])
async def test_restart_between_any_two_steps(tmp_path: Path, method: str) -> None:
    """If the scheduler ends between any two steps, the next one completes the run with the same result."""
    worker = FakeWorker()
    arrived = asyncio.Event()
    broken = True

    def before(called: str, _request: Any) -> None:
        if broken and called == method:
            arrived.set()
            raise HeddleError(pb.ERROR_REASON_DRAINING, "not now")

    worker.before = before
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path) as first:
            run = await first.create(make_plan({"a": ["one", "two"]}))
            async with asyncio.timeout(60):
                await arrived.wait()
        broken = False
        async with scheduling(address, tmp_path) as second:
            await second.finished(run)
            tasks = await second.tasks(run)
            ended = await second.run(run)

    assert ended.state == pb.RUN_STATE_SUCCEEDED
    assert [task.attempt_count for task in tasks.values()] == [1, 1]
    assert [len(commits) for commits in worker.commits.values()] == [2]


async def test_stop_that_was_asked_for_survives_a_restart(tmp_path: Path) -> None:
    """If a stop was requested before the restart, the next leader stops the attempt."""
    worker = FakeWorker()
    gate = Gate()
    worker.play = gate.play
    refused = asyncio.Event()
    broken = True

    def before(method: str, _request: Any) -> None:
        if broken and method == "StopSession":
            refused.set()
            raise HeddleError(pb.ERROR_REASON_DRAINING, "not now")

    worker.before = before
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path) as first:
            run = await first.create(make_plan({"a": ["one"]}))
            await first.until(run, lambda event: event.HasField("session_started"))
            name = f"{run}/epics/a/tasks/one/attempts/1"
            stop = asyncio.ensure_future(first.api.StopAttempt(pb.StopAttemptRequest(name=name)))
            async with asyncio.timeout(60):
                await refused.wait()
            stop.cancel()
        broken = False
        async with scheduling(address, tmp_path) as second:
            await second.finished(run)
            task = (await second.tasks(run))["a/one"]

    assert task.latest_attempt.state == pb.ATTEMPT_STATE_STOPPED
    assert not worker.live


async def test_worktree_of_which_nobody_was_told_is_removed(tmp_path: Path) -> None:
    """A worktree whose creation the worker could not report is removed if the run is cancelled meanwhile."""
    worker = FakeWorker()
    refused = asyncio.Event()

    def before(method: str, request: Any) -> None:
        if method == "EnsureWorktree":
            epic = request.attempt.partition("/tasks/")[0]
            worker.worktrees[epic] = pb.Worktree(epic=epic, path="/worktree")
            refused.set()
            raise HeddleError(pb.ERROR_REASON_DRAINING, "its answer is lost")

    worker.before = before
    async with serving_fake(worker) as address, scheduling(address, tmp_path) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}))
        async with asyncio.timeout(60):
            await refused.wait()
        await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
        ended = await scheduler.run(run)
    assert ended.state == pb.RUN_STATE_CANCELLED
    assert not worker.worktrees


async def test_two_replicas_serve_and_one_leads(database_url: str, tmp_path: Path) -> None:
    """A replica that does not lead serves reads and watches; when the leader ends, it continues the run."""
    worker = FakeWorker()
    gate = Gate()
    worker.play = gate.play
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path / "2", database_url) as survivor,
    ):
        async with scheduling(address, tmp_path / "1", database_url) as other:
            run = await other.create(make_plan({"a": ["one", "two"]}))
            await other.until(run, lambda event: event.HasField("session_started"))
            await survivor.until(run, lambda event: event.HasField("session_started"))
            paused = await other.api.PauseRun(pb.PauseRunRequest(name=run))
            assert paused.run.state == pb.RUN_STATE_PAUSED
            resumed = await survivor.api.ResumeRun(pb.ResumeRunRequest(name=run))
            assert resumed.run.state == pb.RUN_STATE_RUNNING
            assert worker.epoch == 1  # exactly one of them leads
        gate.open.set()
        events = await survivor.finished(run)

    assert set(gate.played.values()) == {1}
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


async def test_leader_that_ends_is_followed_by_the_other(tmp_path: Path) -> None:
    """When the leading replica ends, the waiting one leads with the next epoch and finishes the run."""
    worker = FakeWorker()
    gate = Gate()
    worker.play = gate.play
    async with serving_fake(worker) as address, AsyncExitStack() as stack:
        leader = await stack.enter_async_context(scheduling(address, tmp_path))
        run = await leader.create(make_plan({"a": ["one", "two"]}))
        await leader.until(run, lambda event: event.HasField("session_started"))
        async with scheduling(address, tmp_path) as follower:
            assert worker.epoch == 1
            await stack.aclose()
            gate.open.set()
            await follower.finished(run)

    assert worker.epoch == 2
    assert set(gate.played.values()) == {1}


async def test_connections_that_the_database_cuts_are_renewed(postgres: Postgres, tmp_path: Path) -> None:
    """If PostgreSQL closes every connection in the middle of a run, the run still completes."""
    url = postgres.new_database("cut")
    worker = FakeWorker()
    gate = Gate()
    worker.play = gate.play
    # Without a pool, no connection stays open if the test fails.
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with serving_fake(worker) as address, scheduling(address, tmp_path, url) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["one", "two"]}))
        await scheduler.until(run, lambda event: event.HasField("session_started"))
        with engine.connect() as connection:
            assert len(connection.execute(sa.text(cut)).all()) >= 2
        gate.open.set()
        events = await scheduler.finished(run)

    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert set(gate.played.values()) == {1}


async def test_a_read_whose_connection_the_database_cuts_is_read_again(
    postgres: Postgres, tmp_path: Path
) -> None:
    """If PostgreSQL closes the connection in the middle of a read, the reader gets its answer from a new one."""
    read_by: list[int] = []

    def read(connection: Any) -> int:
        read_by.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(read_by) == 1:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return read_by[-1]

    async with (
        serving_fake(FakeWorker()) as address,
        scheduling(address, tmp_path, postgres.new_database("cut_read")) as scheduler,
    ):
        answer = await scheduler.app.database.read(read)

    first, second = read_by
    assert answer == second != first


async def test_a_connection_in_use_while_the_writer_loses_its_own_is_replaced_and_closed(
    postgres: Postgres, tmp_path: Path
) -> None:
    """A read that began before the writer's connection broke gets its answer; the next read uses a new connection."""
    begun, may_end = threading.Event(), threading.Event()

    def read(connection: Any) -> Any:
        begun.set()
        assert may_end.wait(DEADLINE)
        return connection.connection.dbapi_connection

    def cut(connection: Any) -> None:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    async with (
        serving_fake(FakeWorker()) as address,
        scheduling(address, tmp_path, postgres.new_database("cut_writer")) as scheduler,
    ):
        reading = asyncio.create_task(scheduler.app.database.read(read))
        await asyncio.to_thread(begun.wait, DEADLINE)
        with pytest.raises(HeddleError):
            await scheduler.app.database.submit(cut)
        may_end.set()
        before = await reading
        after = await scheduler.app.database.read(read)
        assert after is not before

    assert before.closed
    assert after.closed


async def test_deposed_leader_can_neither_write_nor_command(
    worker: FakeWorker, database_url: str, tmp_path: Path
) -> None:
    """Once a newer leader has taken over, the old one's writes and calls are refused and it stops leading."""
    gate = Gate()
    worker.play = gate.play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, database_url) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one", "two"]}))
        await scheduler.until(run, lambda event: event.HasField("session_started"))
        database = scheduler.app.database

        def usurp(connection: Any) -> None:
            connection.exec_driver_sql("UPDATE leadership SET epoch = epoch + 1")

        await database.submit(usurp)

        def retitle(connection: Any) -> None:
            connection.exec_driver_sql("UPDATE runs SET title = 'stale'")

        with pytest.raises(HeddleError) as caught:
            await database.submit(retitle, guard=lambda connection: check_epoch(connection, 1))
        assert caught.value.reason == pb.ERROR_REASON_STALE_EPOCH
        assert (await scheduler.run(run)).title == "Sample plan"
        gate.open.set()
        events = await scheduler.finished(run)  # this requires that it leads again

    assert worker.epoch == 3
    assert sum(event.HasField("task_accepted") for event in events) == 2
    assert set(gate.played.values()) == {1}


async def test_a_leader_follows_a_worker_that_has_seen_a_higher_epoch(
    worker: FakeWorker, database_url: str, tmp_path: Path
) -> None:
    """After a database was restored from a backup, its next leaders are not refused for as many terms as it lost."""
    worker.epoch = 5_000
    async with serving_fake(worker) as address, scheduling(address, tmp_path, database_url) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}))
        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert 5_000 < worker.epoch < 5_010


async def test_a_worker_with_an_impossible_epoch_stops_only_itself(
    worker: FakeWorker, database_url: str, tmp_path: Path
) -> None:
    """A worker that refuses every leader is reported with its message, and works again once it is repaired."""
    worker.epoch = 2**62
    async with serving_fake(worker) as address, scheduling(address, tmp_path, database_url) as scheduler:

        async def is_refused() -> bool:
            told = await scheduler.worker()
            return not told.connected and str(2**62) in told.reason

        await eventually(is_refused)
        epoch = await scheduler.app.database.read(read_epoch)
        worker.epoch = 0

        async def is_back() -> bool:
            return (await scheduler.worker()).connected

        await eventually(is_back)
        run = await scheduler.create(make_plan({"a": ["one"]}))
        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
        # The leader kept its term.
        assert (await scheduler.app.database.read(read_epoch), worker.epoch) == (epoch, epoch)
