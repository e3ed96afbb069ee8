"""Streams: every watcher receives the same events, even if its connection breaks."""

import asyncio
import random

import grpc
import pytest

from heddle import pb
from heddle.errors import from_rpc
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan
from tests.support.seed import SEED


async def talk(session: FakeSession) -> pb.SessionFinished:
    """Says a few things, with a pause between them."""
    for number in range(5):
        session.emit(output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=f"line {number}\n"))
        await asyncio.sleep(0)
    session.emit(usage=pb.Usage(model="m", input_tokens=10, output_tokens=2, cost_usd_micros=7))
    session.emit(check_finished=pb.CheckFinished(name="tests", command="true", ok=True, exit_code=0))
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


async def everything(scheduler: Scheduler, run: str) -> list[pb.Event]:
    """Returns the run's log, read page by page."""
    events: list[pb.Event] = []
    more = True
    while more:
        after = events[-1].sequence if events else 0
        request = pb.ListEventsRequest(parent=run, after_sequence=after, page_size=7)
        answer = await scheduler.api.ListEvents(request)
        events += answer.events
        more = answer.more
    return events


async def test_watcher_that_disconnects_at_random_sees_the_same_list(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """A watch that is interrupted and resumed at random receives events 1..n once each, as in the log."""
    chance = random.Random(SEED)
    worker.play = talk
    run = await scheduler.create(make_plan({f"epic{n}": ["one", "two", "three"] for n in range(4)}))

    seen: list[pb.Event] = []
    breaks = 0
    while not (seen and seen[-1].HasField("run_finished")):
        after = seen[-1].sequence if seen else 0
        watch = scheduler.api.WatchRun(pb.WatchRunRequest(name=run, after_sequence=after))
        # The first answer may have every event.
        left = chance.randrange(1, 4) if breaks else 1
        async for answer in watch:
            assert answer.resume_sequence == (answer.events[-1].sequence if answer.events else after)
            after = answer.resume_sequence
            seen += answer.events
            left -= 1
            if not left:
                watch.cancel()
                breaks += 1
                break

    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert seen == (await everything(scheduler, run))[: len(seen)]
    assert breaks


async def test_watch_alone_builds_the_whole_run(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A client that starts at 0 and applies each update ends with the final state of every epic and task."""
    worker.play = talk
    run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["one"]}))
    held: dict[str, pb.Epic | pb.Task] = {}
    latest = pb.Run()
    async for answer in scheduler.api.WatchRun(pb.WatchRunRequest(name=run)):
        held |= {epic.name: epic for epic in answer.epics}
        held |= {task.name: task for task in answer.tasks}
        if answer.HasField("run"):
            latest = answer.run

    listed: list[pb.Epic | pb.Task] = [
        *(await scheduler.epics(run)).values(),
        *(await scheduler.tasks(run)).values(),
    ]
    for each in listed:
        mine = held[each.name]
        assert mine == each
    assert latest.state == pb.RUN_STATE_SUCCEEDED
    assert latest.usage.input_tokens == 30
    assert latest.usage.cost_usd_micros == 21
    assert latest.usage.models[0].model == "m"


async def test_live_sessions_are_summed_up(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The board receives a live session's tool, last lines and cost without reading its log."""
    done = asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        session.emit(tool_started=pb.ToolStarted(tool_call_id="1", name="Edit", target="api.py"))
        session.emit(output=pb.Output(text="hello\nwor"))
        session.emit(output=pb.Output(text="ld\n"))
        await done.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one"]}))
    watch = scheduler.api.WatchRun(pb.WatchRunRequest(name=run))
    async with asyncio.timeout(60):
        async for answer in watch:
            for summary in answer.summaries:
                if summary.current_tool.target == "api.py" and len(summary.last_lines) == 2:
                    assert list(summary.last_lines) == ["hello", "world"]
                    assert summary.attempt == f"{run}/epics/a/tasks/one/attempts/1"
                    assert summary.state == pb.ATTEMPT_STATE_RUNNING
                    watch.cancel()
                    done.set()
                    break
            if done.is_set():
                break
    assert done.is_set()

    late = scheduler.api.WatchRun(pb.WatchRunRequest(name=run, after_sequence=1))
    async for answer in late:
        if any(event.HasField("run_finished") for event in answer.events):
            return
    raise AssertionError("the watch ended before the run")


async def test_session_is_read_in_either_direction(worker: FakeWorker, scheduler: Scheduler) -> None:
    """A session's log has events 1..n, and is the same if watched, read forwards or read backwards."""
    worker.play = talk
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    name = f"{run}/epics/a/tasks/one/attempts/1"
    api = scheduler.api

    watched = [
        event
        async for answer in api.WatchSession(pb.WatchSessionRequest(attempt=name))
        for event in answer.events
    ]
    resumed = [
        event
        async for answer in api.WatchSession(pb.WatchSessionRequest(attempt=name, after_sequence=4))
        for event in answer.events
    ]
    forwards: list[pb.Event] = []
    while True:
        after = forwards[-1].sequence if forwards else 0
        request = pb.ListSessionEventsRequest(parent=name, after_sequence=after, page_size=3)
        page = await api.ListSessionEvents(request)
        forwards += page.events
        if not page.more:
            break
    backwards: list[pb.Event] = []
    before = len(watched) + 1
    while True:
        request = pb.ListSessionEventsRequest(parent=name, before_sequence=before, page_size=3)
        page = await api.ListSessionEvents(request)
        backwards = [*page.events, *backwards]
        before = backwards[0].sequence
        if not page.more:
            break

    assert [event.sequence for event in watched] == list(range(1, 10))
    assert watched == forwards == backwards
    assert resumed == watched[4:]
    assert all(event.run == run and event.attempt == 1 for event in watched)


@pytest.mark.parametrize("sequence", [-1, 999])
async def test_sequence_that_was_never_reached_is_refused(scheduler: Scheduler, sequence: int) -> None:
    """A request for the events after a sequence that does not exist fails instead of waiting forever."""
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    watch = scheduler.api.WatchRun(pb.WatchRunRequest(name=run, after_sequence=sequence))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()

    error = from_rpc(caught.value)
    assert error is not None
    expected = pb.ERROR_REASON_INVALID_FIELD if sequence < 0 else pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE
    assert error.reason == expected


async def test_many_events_arrive_whole(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Thousands of a session's events are stored in few rows and read back completely, in small messages."""

    async def play(session: FakeSession) -> pb.SessionFinished:
        for number in range(3000):
            session.emit(output=pb.Output(text=f"{number} {'x' * 500}\n"))
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one"]}))
    name = f"{run}/epics/a/tasks/one/attempts/1"
    await scheduler.until(run, lambda event: event.HasField("session_started"))

    sequences: list[int] = []
    async for answer in scheduler.api.WatchSession(pb.WatchSessionRequest(attempt=name)):
        assert answer.ByteSize() < 300_000
        sequences += [event.sequence for event in answer.events]

    assert sequences == list(range(1, 3003))


async def test_watch_of_all_runs_begins_with_what_there_is_and_tells_each_change(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The watch first sends all active runs, even if more than `newest`, and then each run as it changes."""
    go_on = asyncio.Event()

    async def play(_session: FakeSession) -> pb.SessionFinished:
        await go_on.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    old = await scheduler.create(make_plan({"a": ["one"]}))
    new = await scheduler.create(make_plan({"a": ["one"]}))
    watch = scheduler.api.WatchRuns(pb.WatchRunsRequest(newest=1))
    first: dict[str, pb.Run] = {}
    async for answer in watch:
        first |= {run.name: run for run in answer.runs}
        if answer.complete:
            break
    assert set(first) == {old, new}
    assert first[old].creator == "user:ada"
    go_on.set()
    ended: set[str] = set()
    async for answer in watch:
        ended |= {run.name for run in answer.runs if run.state == pb.RUN_STATE_SUCCEEDED}
        if ended == {old, new}:
            break
    third = await scheduler.create(make_plan({"a": ["one"]}))
    async for answer in watch:
        # Ended runs are not sent again.
        assert {run.name for run in answer.runs} <= {third}
        if answer.runs:
            break
    watch.cancel()
