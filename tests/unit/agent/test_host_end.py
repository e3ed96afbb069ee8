"""How an agent and agent_svc agree that no more messages follow."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration

from agent_svc.agents.base import protocol
from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator
from agent_svc.processes.supervised import Exit
from agent_svc.sessions.conversation import Conversation, OperatorMessages
from heddle import errors, pb
from tests.unit.agent.test_host import Connection


class Process:
    """A host process whose part the test plays."""

    def __init__(self) -> None:
        self.stdout, self.stderr = asyncio.StreamReader(), asyncio.StreamReader()
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.translator = HostTranslator()
        self.over = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.lines.put_nowait(data)

    async def wait(self) -> Exit:
        await self.over.wait()
        return Exit(code=0)

    async def close(self, *readers: "asyncio.Task[None]") -> None:
        for stream in (self.stdout, self.stderr):
            stream.feed_eof()
        await asyncio.gather(*readers)


class Session:
    """The parts of a session that a conversation needs, without files."""

    used_up = False

    async def tell(self, actor: str, *events: pb.Event) -> None: ...

    def collect(self, *, final: bool) -> Sequence[pb.Event]:
        return ()

    def priced(self, events: list[pb.Event]) -> list[pb.Event]:
        return events


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Conversation, Process]]:
    """Yields a conversation and its host, which has already sent its greeting."""
    session, process = cast("Any", Session()), Process()
    conversation = Conversation(
        session,
        "scripted",
        process.translator,
        session,
        session,
        on_defect=lambda error: pytest.fail(repr(error)),
        remember=lambda _: None,
        operator_messages=OperatorMessages(),
        worker="worker:w",
        background_wait=Duration(),
        on_used_up=lambda: pytest.fail("nothing was spent"),
    )
    holding = asyncio.create_task(
        conversation.hold(cast("Any", process), Launch(arguments=(), stdin=b"opening\n", controlled=True))
    )
    assert await process.lines.get() == b"opening\n"
    process.stdout.feed_data(protocol.greeting())
    yield conversation, process
    process.over.set()
    await holding


async def test_what_is_said_after_the_leave_to_end_is_refused() -> None:
    """After a host may end, messages are refused, even while its process still runs."""
    async with talking() as (conversation, process):
        process.stdout.feed_data(protocol.closing(0))
        assert await process.lines.get() == protocol.closed()
        with pytest.raises(errors.HeddleError) as refused:
            await conversation.send("Use tabs", "m1", "user:ada")
        assert refused.value.reason == pb.ERROR_REASON_WRONG_STATE


async def test_a_host_may_not_end_on_what_it_has_not_read() -> None:
    """A message that crosses the host's request to end is delivered before the host may end."""
    async with talking() as (conversation, process):
        await conversation.send("Use tabs", "m1", "user:ada")
        process.stdout.feed_data(protocol.closing(0) + protocol.closing(1))
        told = [await process.lines.get(), await process.lines.get()]
        assert protocol.parse_event(told[0]).message.text == "Use tabs"
        assert told[1:] == [protocol.closed()]
        assert process.lines.empty()


async def test_a_failed_session_receives_no_messages() -> None:
    """After a host reports its failure, messages are refused, because no turn could receive them."""
    async with talking() as (conversation, process):
        finished = pb.Event(session_finished=pb.SessionFinished(outcome=pb.OUTCOME_FAILED))
        process.stdout.feed_data(protocol.line_of(finished))
        while process.translator.finished is None:  # noqa: ASYNC110 (it rings no bell)
            await asyncio.sleep(0)
        with pytest.raises(errors.HeddleError):
            await conversation.send("Use tabs", "m1", "user:ada")


async def test_a_host_that_wants_to_end_hears_what_crosses_that() -> None:
    """The host repeats its request after each message, with the number of messages read, until it may end."""
    connection = Connection()
    listening = asyncio.create_task(connection.host.listen())
    asking = asyncio.create_task(connection.host.may_end())
    await asyncio.sleep(0)
    connection.hear(pb.Event(message=pb.Message(text="Use tabs")))
    assert not await asking
    assert not await connection.host.may_end()
    assert connection.host.heard.get_nowait() == "Use tabs"
    asking = asyncio.create_task(connection.host.may_end())
    await asyncio.sleep(0)
    connection.incoming.feed_data(protocol.closed())
    assert await asking
    assert connection.outgoing.getvalue() == protocol.closing(0) + protocol.closing(1)
    listening.cancel()


async def test_one_look_for_pictures_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output on both streams at once never makes two threads look for new pictures together."""
    monkeypatch.setattr("agent_svc.sessions.conversation.LOOK_EVERY", 0.0)
    looking, most = [0], []

    def collect(*_: Session, **__: bool) -> Sequence[pb.Event]:
        looking[0] += 1
        most.append(looking[0])
        threading.Event().wait(0.002)  # long enough that another thread would look if it could
        looking[0] -= 1
        return ()

    monkeypatch.setattr(Session, "collect", collect)
    async with talking() as (_, process):
        for number in range(10):
            seen = len(most)
            process.stdout.feed_data(b"out\n")
            process.stderr.feed_data(b"err\n")
            while len(most) < seen + 2:
                await asyncio.to_thread(int)
            assert set(most) == {1}, number
