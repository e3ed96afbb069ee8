"""Worktrees and logs of ended runs: kept for a while, archived, restored and removed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, from_rpc
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.store.db.tables import audit
from scheduler_svc.store.db.times import micros
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake

FILE = pb.ProjectFile(setup=["npm ci"], ports=2, teardown=["make down"])


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def scheduler(
    worker: FakeWorker, tmp_path: Path, database_url: str, clock: Clock
) -> AsyncIterator[Scheduler]:
    """A scheduler on each database; epics whose task is called "bad" fail in it."""
    worker.play = play
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, database_url, clock=clock) as running,
    ):
        yield running


async def play(session: FakeSession) -> pb.SessionFinished:
    failed = session.name.task == "bad"
    session.emit(output=pb.Output(text="at work\n"))
    return pb.SessionFinished(outcome=pb.OUTCOME_FAILED if failed else pb.OUTCOME_SUCCEEDED)


async def ended_run(scheduler: Scheduler) -> tuple[str, list[pb.Event]]:
    """Returns a run whose epic "a" succeeded and "b" failed, and its events."""
    run = await scheduler.create(make_plan({"a": ["good"], "b": ["bad"]}))
    return run, await scheduler.finished(run)


async def worktrees(scheduler: Scheduler, parent: str = "runs/-") -> dict[str, pb.EpicWorktree]:
    """Returns the listed worktrees by the key of their epic, read page by page."""
    found: list[pb.EpicWorktree] = []
    request = pb.ListEpicWorktreesRequest(parent=parent, page_size=1)
    while True:
        page = await scheduler.api.ListEpicWorktrees(request)
        found += page.worktrees
        if not page.next_page_token:
            return {each.name.split("/")[3]: each for each in found}
        request.page_token = page.next_page_token


async def collect(scheduler: Scheduler, *, dry_run: bool = False) -> pb.CollectGarbageResponse:
    return await scheduler.api.CollectGarbage(pb.CollectGarbageRequest(validate_only=dry_run))


async def restore(scheduler: Scheduler, epic: str, request_id: str = "") -> pb.EpicWorktree:
    request = pb.RestoreEpicWorktreeRequest(name=f"{epic}/worktree", request_id=request_id)
    return (await scheduler.api.RestoreEpicWorktree(request)).worktree


async def refused(call: object) -> HeddleError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc] # any call of a stub
    error = from_rpc(raised.value)
    assert error is not None
    return error


async def test_what_somebody_may_look_at_is_kept(
    worker: FakeWorker, scheduler: Scheduler, clock: Clock
) -> None:
    """A succeeded epic's worktree ends with its run; a failed one's is torn down once and kept two weeks."""
    worker.project_file = FILE
    run, events = await ended_run(scheduler)
    removed = [event.epic for event in events if event.HasField("worktree_removed")]
    torn_down = sorted(event.epic for event in events if event.HasField("teardown_finished"))
    assert (removed, torn_down) == (["a"], ["a", "b"])
    assert [request.epic for request in worker.called("ReleaseLease")] == [f"{run}/epics/b"]
    worker.dirty = {f"{run}/epics/b"}
    [found] = (await worktrees(scheduler)).values()
    assert (found.name, found.state) == (f"{run}/epics/b/worktree", pb.EPIC_WORKTREE_STATE_PRESENT)
    assert (found.epic_state, found.dirty, found.disk_bytes) == (pb.EPIC_STATE_FAILED, True, 1 << 20)
    end = (await scheduler.run(run)).end_time.ToDatetime(UTC)
    assert found.remove_time.ToDatetime(UTC) == end + timedelta(days=14)
    clock.pass_days(13.9)
    assert not (await collect(scheduler)).worktrees
    clock.pass_days(0.2)
    told = await collect(scheduler, dry_run=True)
    assert [each.name for each in told.worktrees] == [found.name]
    assert len(worker.worktrees) == 1
    done = await collect(scheduler)
    assert [(each.name, each.disk_bytes) for each in done.worktrees] == [(found.name, 1 << 20)]
    assert done.worktrees[0].archive_commit == worker.archived[f"{run}/epics/b"]
    assert len(worker.called("RunChecks")) == 2
    assert not worker.worktrees
    [archived] = (await worktrees(scheduler, run)).values()
    assert (archived.state, archived.path) == (pb.EPIC_WORKTREE_STATE_ARCHIVED, "")
    last = (await scheduler.finished(run, after=events[-1].sequence))[-1]
    assert last.worktree_removed.archive_commit == archived.archive_commit


async def test_an_archived_worktree_is_restored_and_kept_again(
    worker: FakeWorker, scheduler: Scheduler, clock: Clock
) -> None:
    """A restore happens once per request_id, is logged and restarts the retention; a retry runs setup again."""
    worker.project_file = FILE
    run, _ = await ended_run(scheduler)
    epic = f"{run}/epics/b"
    assert (await refused(restore(scheduler, epic))).reason == pb.ERROR_REASON_WRONG_STATE
    assert (await refused(restore(scheduler, f"{run}/epics/a"))).reason == pb.ERROR_REASON_NOT_FOUND
    worker.dirty = {epic}
    clock.pass_days(20)
    await collect(scheduler)
    first = await restore(scheduler, epic, "once")
    assert (first.path, first.state) == (f"/fake/{run.split('/')[1]}/b", pb.EPIC_WORKTREE_STATE_PRESENT)
    assert await restore(scheduler, epic, "once") == first
    assert len(worker.called("RestoreWorktree")) == 1
    error = await refused(restore(scheduler, f"{run}/epics/a", "once"))
    assert error.reason == pb.ERROR_REASON_REQUEST_ID_REUSED
    told = (await scheduler.until(run, lambda event: event.HasField("worktree_restored")))[-1]
    assert (told.worktree_restored.path, told.actor) == (first.path, "user:ada")
    clock.pass_days(13)
    assert not (await collect(scheduler)).worktrees
    await scheduler.api.SkipTask(pb.SkipTaskRequest(name=f"{epic}/tasks/bad"))
    await scheduler.finished(run, after=told.sequence)
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{epic}/tasks/bad"))
    await eventually(lambda: len(worker.called("StartSession")) == 3)
    assert worker.called("StartSession")[-1].setup.commands == ["npm ci"]


async def test_a_worktree_is_removed_before_its_time(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The worktree of an ended run is archived and removed on request, can be restored, and a repetition changes nothing."""
    run, _ = await ended_run(scheduler)
    epic = f"{run}/epics/b"
    worker.dirty = {epic}
    request = pb.RemoveEpicWorktreeRequest(name=f"{epic}/worktree")
    removed = (await scheduler.api.RemoveEpicWorktree(request)).worktree
    assert removed.state == pb.EPIC_WORKTREE_STATE_ARCHIVED
    assert removed.archive_commit
    assert (await scheduler.api.RemoveEpicWorktree(request)).worktree == removed
    assert (await restore(scheduler, epic)).state == pb.EPIC_WORKTREE_STATE_PRESENT

    missing = pb.RemoveEpicWorktreeRequest(name=f"{run}/epics/none/worktree")
    assert (await refused(scheduler.api.RemoveEpicWorktree(missing))).reason == pb.ERROR_REASON_NOT_FOUND


async def test_a_run_that_goes_on_keeps_everything(
    worker: FakeWorker, scheduler: Scheduler, clock: Clock
) -> None:
    """Worktrees and logs of an active run are kept whatever their age, and its worktrees are not restored."""
    run = await scheduler.create(make_plan({"a": ["bad"], "b": ["bad"]}))
    events = await scheduler.finished(run)
    worker.dirty = {f"{run}/epics/a", f"{run}/epics/b"}
    clock.pass_days(20)
    assert len((await collect(scheduler)).worktrees) == 2
    done = asyncio.Event()

    async def wait(session: FakeSession) -> pb.SessionFinished:
        await done.wait()
        return await play(session)

    worker.play = wait
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{run}/epics/a/tasks/bad"))
    await scheduler.until(run, lambda event: event.HasField("worktree_created"), events[-1].sequence)
    clock.pass_days(100)
    assert await collect(scheduler) == pb.CollectGarbageResponse()
    error = await refused(restore(scheduler, f"{run}/epics/b"))
    assert (error.reason, error.metadata["state"]) == (pb.ERROR_REASON_WRONG_STATE, "RUN_STATE_RUNNING")
    assert not (await worktrees(scheduler))["a"].HasField("remove_time")
    done.set()
    await scheduler.until(run, lambda event: event.HasField("run_finished"), events[-1].sequence + 3)


async def test_old_logs_are_removed(worker: FakeWorker, scheduler: Scheduler, clock: Clock) -> None:
    """Spools and then events are removed after 90 days; later requests get the oldest available sequence."""
    run, _ = await ended_run(scheduler)
    attempt = f"{run}/epics/a/tasks/good/attempts/1"
    clock.pass_days(89)
    assert not (await collect(scheduler)).logs
    clock.pass_days(1.1)
    [told] = (await collect(scheduler, dry_run=True)).logs
    assert (told.run, told.sessions, told.spool_bytes) == (run, 2, 2 << 10)
    assert told.database_bytes > 0
    assert len(worker.sessions) == 2
    [done] = (await collect(scheduler)).logs
    assert done == told
    assert not worker.sessions
    assert not (await collect(scheduler)).logs

    last = (await scheduler.run(run)).sequence
    oldest = {"oldest": str(last + 1)}
    for after in (0, last - 1):
        error = await refused(
            scheduler.api.ListEvents(pb.ListEventsRequest(parent=run, after_sequence=after))
        )
        assert (error.reason, error.metadata) == (pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE, oldest)
        error = await refused(
            anext(aiter(scheduler.api.WatchRun(pb.WatchRunRequest(name=run, after_sequence=after))))
        )
        assert (error.reason, error.metadata) == (pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE, oldest)
    answers = [
        answer async for answer in scheduler.api.WatchRun(pb.WatchRunRequest(name=run, after_sequence=last))
    ]
    assert [len(answer.tasks) for answer in answers] == [2]
    assert [len(answer.epics) for answer in answers] == [2]

    page = await scheduler.api.ListSessionEvents(
        pb.ListSessionEventsRequest(parent=attempt, before_sequence=99)
    )
    assert (len(page.events), page.more, page.oldest_sequence) == (0, False, page.last_sequence + 1)
    error = await refused(scheduler.api.ListSessionEvents(pb.ListSessionEventsRequest(parent=attempt)))
    assert error.metadata == {"oldest": str(page.last_sequence + 1)}
    error = await refused(anext(aiter(scheduler.api.WatchSession(pb.WatchSessionRequest(attempt=attempt)))))
    assert error.metadata == {"oldest": str(page.last_sequence + 1)}

    # A run without its log can still continue.
    await scheduler.api.RetryTask(pb.RetryTaskRequest(name=f"{run}/epics/b/tasks/bad"))
    more = await scheduler.finished(run, after=last)
    assert more[0].sequence == last + 1
    assert more[-1].HasField("run_finished")


async def test_what_cannot_be_removed_is_told(worker: FakeWorker, scheduler: Scheduler, clock: Clock) -> None:
    """A worker that fails is reported with its reason and tried again, and does not block other removals."""
    run, _ = await ended_run(scheduler)
    clock.pass_days(100)

    def refuse(method: str, _request: object) -> None:
        if method in {"RemoveWorktree", "DeleteSessions"}:
            raise HeddleError(pb.ERROR_REASON_GIT_FAILED, f"no {method}")

    worker.before = refuse
    done = await collect(scheduler)
    assert (list(done.worktrees), list(done.logs)) == ([], [])
    assert list(done.problems) == [f"{run}/epics/b: no RemoveWorktree", f"{run}: no DeleteSessions"]
    assert await scheduler.finished(run)
    worker.before = lambda _method, _request: None
    done = await collect(scheduler)
    assert (len(done.worktrees), len(done.logs)) == (1, 1)


async def test_house_is_kept_without_being_asked(
    worker: FakeWorker, tmp_path: Path, database_url: str, clock: Clock
) -> None:
    """A new leader removes what has expired."""
    worker.play = play
    async with serving_fake(worker) as address:
        async with scheduling(address, tmp_path, database_url, clock=clock) as first:
            await ended_run(first)
        clock.pass_days(100)
        async with scheduling(address, tmp_path, database_url, clock=clock) as second:
            await eventually(lambda: not worker.worktrees and not worker.sessions)

            async def is_told() -> bool:
                return not await worktrees(second)

            await eventually(is_told)
    assert {call.epic.split("/")[3] for call in worker.called("RemoveWorktree")} == {"a", "b"}
    assert len(worker.called("DeleteSessions")) == 1


async def test_old_entries_of_the_audit_log_are_removed(scheduler: Scheduler, clock: Clock) -> None:
    """Entries older than HEDDLE_KEEP_AUDIT days are removed, in portions; others stay, in their order."""

    async def made_at() -> list[int]:
        return await scheduler.app.database.read(
            lambda connection: list(
                connection.execute(sa.select(audit.c.at).order_by(audit.c.sequence)).scalars()
            )
        )

    def add(connection: sa.Connection) -> None:
        row = dict.fromkeys(("user", "method", "resource", "request_id", "peer", "refusal"), "")
        connection.execute(sa.insert(audit), [{**row, "at": micros(clock())} for _ in range(1_001)])

    await scheduler.app.database.submit(add)
    clock.pass_days(200)
    await ended_run(scheduler)
    clock.pass_days(164.9)
    await collect(scheduler)
    assert len(await made_at()) > 1_001
    clock.pass_days(0.2)
    kept = micros(clock()) - 365 * 86_400_000_000
    await collect(scheduler)
    left = await made_at()
    assert left
    assert min(left) > kept
