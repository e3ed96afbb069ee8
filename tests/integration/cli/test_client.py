import asyncio
import random
import re
from collections.abc import AsyncIterator

import pytest

from heddle import errors, pb
from heddle.client import HeddleClient, ServerUnreachable
from heddle.rpc.serving import Server
from heddle.v1 import scheduler_service_pb2
from tests.support.fake_scheduler import ATTEMPT, RUN, FakeScheduler


def unavailable() -> errors.HeddleError:
    return errors.HeddleError(pb.ERROR_REASON_NO_WORKER, "no worker is connected")


@pytest.fixture
def fake() -> FakeScheduler:
    return FakeScheduler()


@pytest.fixture
async def server(fake: FakeScheduler) -> AsyncIterator[Server]:
    server = Server(fake.service(), "127.0.0.1:0")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[HeddleClient]:
    async with HeddleClient(server.address, token="ada's", patience=5) as client:
        yield client


def test_exposes_every_rpc() -> None:
    """The client has a method for every RPC of the scheduler."""
    service = scheduler_service_pb2.DESCRIPTOR.services_by_name["SchedulerService"]
    names = [re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower() for method in service.methods]
    assert [name for name in names if not callable(getattr(HeddleClient, name, None))] == []


async def test_watch_run_survives_random_breaks(fake: FakeScheduler, client: HeddleClient) -> None:
    """A run's watch that breaks at random points still yields events 1..n once each, and then ends."""
    chance = random.Random(7)

    async def maybe_break(_stream: int, _sequence: int) -> None:
        if chance.random() < 0.3:
            raise errors.HeddleError(pb.ERROR_REASON_DRAINING, "the service is draining")

    fake.before_answer = maybe_break
    breaks: list[str] = []
    seen = []
    async for response in client.watch_run(RUN, on_break=breaks.append):
        seen += [event.sequence for event in response.events]
    assert seen == list(range(1, 21))
    assert breaks == ["the service is draining"] * (fake.streams - 1)
    assert fake.streams > 2


async def test_watch_tells_a_defect_of_the_server(fake: FakeScheduler, client: HeddleClient) -> None:
    """An error that a retry cannot fix is raised, not retried forever."""

    async def fail(_stream: int, sequence: int) -> None:
        raise KeyError(sequence)

    fake.before_answer = fail
    with pytest.raises(errors.HeddleError, match="KeyError"):
        await anext(client.watch_run(RUN))


async def test_watch_session_goes_on_behind_what_was_seen(fake: FakeScheduler, client: HeddleClient) -> None:
    """A session's watch resumes after the last response instead of starting over."""
    broken = False

    async def break_once(_stream: int, sequence: int) -> None:
        nonlocal broken
        if sequence == 11 and not broken:
            broken = True
            raise errors.HeddleError(pb.ERROR_REASON_DRAINING, "the service is draining")

    fake.before_answer = break_once
    seen = []
    async for response in client.watch_session(ATTEMPT, after=4):
        seen += [event.sequence for event in response.events]
    assert seen == list(range(5, 21))
    watches = [each for each in fake.requests if isinstance(each, pb.WatchSessionRequest)]
    assert [each.after_sequence for each in watches] == [4, 10]


async def test_watch_session_continues_until_all_events_came(
    fake: FakeScheduler, client: HeddleClient
) -> None:
    """A stream that ends in order before the session's last event is continued, though the session has ended."""
    fake.cut = 6
    seen = []
    async for response in client.watch_session(ATTEMPT):
        seen += [event.sequence for event in response.events]
    assert seen == list(range(1, 21))
    assert fake.streams == 4


async def test_watch_survives_a_restart_of_the_server(fake: FakeScheduler) -> None:
    """A watch continues when its server stops and another one starts at the same address."""
    reached = asyncio.Event()

    async def hold(stream: int, sequence: int) -> None:
        if stream == 1 and sequence == 6:
            reached.set()
            await asyncio.Event().wait()

    fake.before_answer = hold
    first = Server(fake.service(), "127.0.0.1:0")
    await first.start()
    seen: list[int] = []
    breaks: list[str] = []

    async def watch() -> None:
        async with HeddleClient(first.address) as client:
            async for response in client.watch_run(RUN, on_break=breaks.append):
                seen.extend(event.sequence for event in response.events)

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(60):
        await reached.wait()
        await first.stop()
        second = Server(fake.service(), first.address)
        await second.start()
        await watching
        await second.stop()
    assert seen == list(range(1, 21))
    assert breaks


async def test_watch_distrusts_a_stream_that_ends_early(fake: FakeScheduler, client: HeddleClient) -> None:
    """A stream that ends with OK before the run ended is resumed."""
    fake.run_state = pb.RUN_STATE_RUNNING

    async def finish(stream: int, _sequence: int) -> None:
        if stream == 2:
            fake.run_state = pb.RUN_STATE_SUCCEEDED

    fake.before_answer = finish
    fake.length = 5
    breaks: list[str] = []
    seen = []
    async for response in client.watch_run(RUN, on_break=breaks.append):
        seen += [event.sequence for event in response.events]
        if seen == [1, 2, 3, 4, 5]:
            fake.length = 8
    assert seen == list(range(1, 9))
    assert breaks == ["the server ended the stream"]


async def test_watch_outlasts_a_server_that_cannot_say_whether_it_is_over(
    fake: FakeScheduler, server: Server
) -> None:
    """If the end of a stream cannot be confirmed yet, the watch retries."""
    async with HeddleClient(server.address, patience=0) as client:

        async def refuse(_stream: int, _sequence: int) -> None:
            fake.refusals = [unavailable()] if fake.streams == 1 else []

        fake.before_answer = refuse
        fake.length = 3
        seen = [event.sequence async for each in client.watch_run(RUN) for event in each.events]
    assert seen == [1, 2, 3]
    assert fake.streams == 2


async def test_watch_ends_when_its_task_is_cancelled(fake: FakeScheduler, client: HeddleClient) -> None:
    """Cancelling the caller ends a watch at once; it does not count as an interruption."""
    reached = asyncio.Event()

    async def hold(_stream: int, _sequence: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    fake.before_answer = hold

    async def watch() -> None:
        async for _ in client.watch_run(RUN):
            pass

    watching = asyncio.create_task(watch())
    await asyncio.wait_for(reached.wait(), 60)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(watching, 60)


async def test_mutation_is_repeated_with_the_same_request_id(
    fake: FakeScheduler, client: HeddleClient
) -> None:
    """A mutation that failed because the server was unavailable is retried with the same request id."""
    fake.refusals = [unavailable(), unavailable()]
    await client.pause_run(RUN)
    assert len(fake.requests) == 3
    assert len({request.request_id for request in fake.requests}) == 1
    assert fake.requests[0].request_id


async def test_create_run_keeps_the_callers_request_id(fake: FakeScheduler, client: HeddleClient) -> None:
    """A request_id that the caller chose is not replaced."""
    await client.create_run(pb.CreateRunRequest(request_id="mine"))
    assert fake.requests[0].request_id == "mine"


async def test_refusal_is_raised_at_once(fake: FakeScheduler, client: HeddleClient) -> None:
    """A rejected call is not retried, and its error arrives as it was raised."""
    with pytest.raises(errors.HeddleError, match="runs/none does not exist") as caught:
        await client.get_run("runs/none")
    assert caught.value.reason == pb.ERROR_REASON_NOT_FOUND
    assert len(fake.requests) == 1


async def test_patience_ends_with_the_servers_own_words(fake: FakeScheduler, server: Server) -> None:
    """If a server stays unavailable, its own message is shown instead of "unreachable"."""
    fake.refusals = [unavailable() for _ in range(100)]
    async with HeddleClient(server.address, patience=0.3) as client:
        with pytest.raises(errors.HeddleError, match="no worker is connected"):
            await client.get_run(RUN)


def unsigned() -> errors.HeddleError:
    return errors.HeddleError(pb.ERROR_REASON_UNAUTHENTICATED, "this call has no token")


async def test_a_call_is_repeated_once_the_token_has_been_created(
    fake: FakeScheduler, server: Server
) -> None:
    """A server that starts for the first time creates the token just before it answers; the call is then made with it."""
    fake.refusals = [unsigned()]
    # At the start, for the first try, and since it was refused.
    tokens = iter(["", ""])
    async with HeddleClient(server.address, token=lambda: next(tokens, "new"), patience=5) as client:
        assert (await client.get_run(RUN)).name == RUN


@pytest.mark.parametrize("token", ["", "revoked"])
async def test_a_refused_token_is_told_at_once(fake: FakeScheduler, server: Server, token: str) -> None:
    """Without a token, or with a wrong one, no second try can help."""
    fake.refusals = [unsigned()]
    async with HeddleClient(server.address, token=token, patience=5) as client:
        with pytest.raises(errors.HeddleError, match="no token"):
            await client.get_run(RUN)


async def test_absent_server_is_named_with_advice(server: Server) -> None:
    """If no server answers, the message names the address and what to do."""
    await server.stop()
    async with HeddleClient(server.address, patience=0.3) as client:
        with pytest.raises(ServerUnreachable, match=f"{server.address}.*heddle up.*HEDDLE_SCHEDULER"):
            await client.get_run(RUN)


async def test_lists_join_their_pages(client: HeddleClient) -> None:
    """A list that comes in pages is returned whole."""
    tasks = await client.list_tasks(f"{RUN}/epics/-")
    assert [task.key for task in tasks] == ["task-1", "task-2", "task-3"]
    approvals = await client.list_approvals()
    assert [each.approval_id for each in approvals] == ["approval-1", "approval-2", "approval-3"]


async def test_diff_joins_its_parts(client: HeddleClient) -> None:
    """A diff that comes in parts is returned whole and says whether it was cut."""
    diff = await client.get_diff(RUN)
    assert diff == pb.GetDiffResponse(text="+one\n+two\n", truncated=True)


async def test_watch_of_all_runs_begins_anew_when_its_stream_ends(client: HeddleClient) -> None:
    """A watch of all runs never ends: if the server ends a stream, the client opens a new stream."""
    breaks: list[str] = []
    watch = client.watch_runs(newest=5, on_break=breaks.append)
    seen = [await anext(watch), await anext(watch)]
    await watch.aclose()
    assert [run.name for answer in seen for run in answer.runs] == [RUN, RUN]
    assert breaks == ["the server ended the stream"]
