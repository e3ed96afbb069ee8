"""Epics run in parallel, the tasks of an epic in order; tested over real gRPC with a fake worker."""

import asyncio
from collections import defaultdict

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, eventually, make_plan


class Stage:
    """Counts running sessions, in total and by epic, and holds each one until it is released."""

    def __init__(self, holds: bool = False) -> None:
        self.now: defaultdict[str, int] = defaultdict(int)
        self.most: defaultdict[str, int] = defaultdict(int)
        self.order: defaultdict[str, list[str]] = defaultdict(list)
        self.peak = 0
        self.changed = asyncio.Condition()
        self.curtain = asyncio.Event()
        if not holds:
            self.curtain.set()

    async def play(self, session: FakeSession) -> pb.SessionFinished:
        epic = session.name.epic
        self.now[epic] += 1
        self.order[epic].append(session.name.task)
        self.most[epic] = max(self.most[epic], self.now[epic])
        self.peak = max(self.peak, sum(self.now.values()))
        async with self.changed:
            self.changed.notify_all()
        await self.curtain.wait()
        # Lets other sessions overlap if the scheduler allows it.
        for _ in range(20):
            await asyncio.sleep(0)
        self.now[epic] -= 1
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    async def playing(self, count: int) -> None:
        """Waits until `count` sessions run at the same time."""
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: sum(self.now.values()) >= count)


async def test_execute_epic_sequentially(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The tasks of an epic run one at a time, by priority and then position, and are accepted in that order."""
    stage = Stage()
    worker.play = stage.play
    plan = make_plan({"backend": ["c", "a", "b", "d"]})
    plan.epics[0].tasks[2].priority = 1
    plan.epics[0].tasks[3].priority = 5
    run = await scheduler.create(plan)

    events = await scheduler.finished(run)

    assert stage.order["backend"] == ["b", "d", "c", "a"]
    assert stage.most["backend"] == 1
    assert worker.peak == 1
    accepted = [event.task for event in events if event.HasField("task_accepted")]
    assert accepted == ["b", "d", "c", "a"]
    committed = [attempt.split("/")[5] for _, attempt in next(iter(worker.commits.values()))]
    assert committed == accepted
    live = 0
    for event in events:
        live += event.HasField("task_started") - event.HasField("task_accepted")
        assert live <= 1
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED


async def test_parallel_epics(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Different epics run at the same time, never more than max_parallel, and each in its own order."""
    stage = Stage(holds=True)
    worker.play = stage.play
    epics = {f"epic{number}": ["one", "two", "three"] for number in range(5)}
    run = await scheduler.create(make_plan(epics), max_parallel=3)

    await stage.playing(3)
    assert len(worker.live) == 3
    assert len({session.name.epic for session in worker.live}) == 3
    stage.curtain.set()
    await scheduler.finished(run)

    assert worker.peak == 3
    assert stage.peak == 3
    assert set(stage.most.values()) == {1}
    assert all(order == ["one", "two", "three"] for order in stage.order.values())
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert len(next(iter(worker.merged.values()))) == 5


async def test_slots_of_the_worker_are_shared_by_runs(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Two runs together never have more sessions than the worker's slots."""
    worker.slots = 2
    stage = Stage(holds=True)
    worker.play = stage.play

    async def noticed() -> bool:
        return (await scheduler.worker()).slots == 2

    await eventually(noticed)
    plan = make_plan({f"epic{number}": ["one", "two"] for number in range(4)})
    runs = [await scheduler.create(plan, max_parallel=4) for _ in range(2)]
    await stage.playing(2)
    stage.curtain.set()

    for run in runs:
        await scheduler.finished(run)

    assert worker.peak == 2
    refused = [call for call in worker.called("StartSession") if call.attempt not in worker.sessions]
    assert not refused


async def test_dependent_epic_starts_from_what_was_merged(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An epic starts after its dependencies are merged, from the branch that contains them."""
    plan = make_plan({"database": ["one"], "backend": ["two"]})
    plan.epics[1].depends_on.append("database")
    run = await scheduler.create(plan)

    events = await scheduler.finished(run)

    kinds = [(event.WhichOneof("payload"), event.epic) for event in events]
    assert kinds.index(("merge_finished", "database")) < kinds.index(("epic_ready", "backend"))
    assert kinds.index(("epic_ready", "backend")) < kinds.index(("task_started", "backend"))
    merged = next(event.merge_finished.commit for event in events if event.HasField("merge_finished"))
    ensured = {call.attempt.split("/")[3]: call.base_commit for call in worker.called("EnsureWorktree")}
    assert ensured["backend"] == merged
    assert ensured["database"] == (await scheduler.run(run)).base_commit


async def test_full_worker_is_asked_again(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A session that the worker refuses for lack of a slot is started once a slot is free."""
    stage = Stage(holds=True)
    worker.play = stage.play
    worker.slots = 1  # the scheduler still assumes eight
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}), max_parallel=2)
    await stage.playing(1)
    await eventually(lambda: len({call.attempt for call in worker.called("StartSession")}) == 2)
    assert len(worker.live) == 1
    stage.curtain.set()

    await scheduler.finished(run)

    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert worker.peak == 1
