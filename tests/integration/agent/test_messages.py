"""Messages from the operator to a running agent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from heddle import errors, pb
from tests.support.agents import Agents, Step, agents, ending, payloads, seconds


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


async def send(worker: Agents, attempt: str, text: str, message_id: str = "") -> None:
    request = pb.AgentServiceSendMessageRequest(
        attempt=attempt, epoch=1, text=text, message_id=message_id, actor="user:ada"
    )
    await worker.stub.SendMessage(request)


async def refusal(worker: Agents, attempt: str, text: str = "Hello?") -> "pb.ErrorReason.ValueType":
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(worker, attempt, text)
    error = errors.from_rpc(caught.value)
    assert error is not None
    return error.reason


def said(event: pb.Event) -> tuple[str, str]:
    return event.actor, event.message.text


async def test_message_reaches_an_agent_that_waits(worker: Agents) -> None:
    """A message is recorded under its sender before the agent reacts; a repeated message is delivered once."""
    attempt = await worker.start(
        script=[Step(say=Step.Say(text="Begun")), Step(wait=Step.Wait(duration=seconds(60)))]
    )
    await worker.until(attempt, lambda event: event.HasField("message"))
    await asyncio.gather(*(send(worker, attempt, "Use tabs", "m1") for _ in range(3)))
    await worker.until(attempt, lambda event: event.message.text == "The operator says: Use tabs")
    await send(worker, attempt, "And spaces", "m2")
    await worker.until(attempt, lambda event: event.message.text == "The operator says: And spaces")
    await worker.stop(attempt)
    assert [said(event) for event in payloads(await worker.events(attempt), "message")] == [
        ("agent:scripted", "Begun"),
        ("user:ada", "Use tabs"),
        ("agent:scripted", "The operator says: Use tabs"),
        ("user:ada", "And spaces"),
        ("agent:scripted", "The operator says: And spaces"),
    ]


async def test_message_said_as_the_agent_ends_is_heard(worker: Agents) -> None:
    """A message sent during the last step, which reads none, is still delivered before the agent ends."""
    last = Step(run=Step.RunCommand(command="until test -e go; do sleep 0.02; done"))
    attempt = await worker.start(script=[last])
    await worker.until(attempt, lambda event: event.HasField("tool_started"))
    await send(worker, attempt, "Use tabs")
    (worker.worktree / "go").touch()
    events = await worker.events(attempt)
    assert said(payloads(events, "message")[-1]) == ("agent:scripted", "The operator says: Use tabs")
    assert ending(events) == ("SUCCEEDED", "")


async def test_message_is_no_answer(worker: Agents) -> None:
    """An agent that waits for an answer receives a message and continues to wait."""
    attempt = await worker.start(
        script=[Step(ask=Step.Ask(question="May I?")), Step(say=Step.Say(text="Done"))]
    )
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    await send(worker, attempt, "Which table?")
    await worker.until(attempt, lambda event: event.message.text == "The operator says: Which table?")
    await worker.answer(attempt, asked.approval_requested.approval_id, approved=True)
    events = await worker.events(attempt)
    assert payloads(events, "message")[0].message.kind == pb.MESSAGE_KIND_OPERATOR
    assert payloads(events, "message")[-1].message.text == "Done"
    assert ending(events) == ("SUCCEEDED", "")


async def test_agent_that_cannot_listen_says_so(worker: Agents) -> None:
    """A message to a command is refused with a reason, and nothing is recorded."""
    attempt = await worker.start("command:echo ready; sleep 60")
    await worker.until_says(attempt, "ready")
    assert await refusal(worker, attempt) == pb.ERROR_REASON_CANNOT_LISTEN
    await worker.stop(attempt)
    assert not payloads(await worker.events(attempt), "message")
    assert await refusal(worker, attempt) == pb.ERROR_REASON_WRONG_STATE


async def test_messages_are_refused_once_the_checks_run(worker: Agents) -> None:
    """After the agent has ended, a message is refused even though its checks still run."""
    attempt = await worker.start(script=[Step(say=Step.Say(text="Done"))], checks={"slow": "sleep 60"})
    await worker.until_says(attempt, "Check 'slow'")
    assert await refusal(worker, attempt) == pb.ERROR_REASON_WRONG_STATE
    await worker.stop(attempt)


@pytest.mark.parametrize("text", ["", " \n", "x" * 40_000], ids=["empty", "blank", "long"])
async def test_text_that_cannot_be_said_is_refused(worker: Agents, text: str) -> None:
    """An empty message, or one too large for a single event, is refused."""
    attempt = await worker.start(script=[Step(wait=Step.Wait(duration=seconds(60)))])
    assert await refusal(worker, attempt, text) == pb.ERROR_REASON_INVALID_FIELD
    await worker.stop(attempt)


@pytest.mark.parametrize("text", ["x" * (32 << 10), "ä" * (16 << 10)], ids=["ascii", "in bytes"])
async def test_longest_text_that_can_be_said(worker: Agents, text: str) -> None:
    """A message of 32 KiB is delivered whole; with one byte more, it is refused."""
    attempt = await worker.start(
        script=[Step(say=Step.Say(text="Begun")), Step(wait=Step.Wait(duration=seconds(60)))]
    )
    await worker.until(attempt, lambda event: event.HasField("message"))
    assert await refusal(worker, attempt, text + "x") == pb.ERROR_REASON_INVALID_FIELD
    await send(worker, attempt, text)
    await worker.stop(attempt)
    assert [
        event.message.text
        for event in payloads(await worker.events(attempt), "message")
        if event.message.kind == pb.MESSAGE_KIND_OPERATOR
    ] == [text]


async def test_a_message_to_an_unknown_session_is_not_found(worker: Agents) -> None:
    """A message to an attempt without a session is not found."""
    assert await refusal(worker, "runs/r/epics/e/tasks/t/attempts/9") == pb.ERROR_REASON_NOT_FOUND
