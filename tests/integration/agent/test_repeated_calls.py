"""A repeated call with other content changes nothing: the first one counts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from heddle import pb
from tests.integration.agent.test_messages import said, send
from tests.support.agents import Agents, Step, agents, ending, output, payloads, seconds


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


async def test_the_first_start_of_an_attempt_counts(worker: Agents) -> None:
    """A start with another agent, prompt, limit and checks returns the session, which runs as it was started."""
    first = "command:until test -e go; do sleep 0.02; done; echo $HEDDLE_PROMPT"
    attempt = await worker.start(first, prompt="first", checks={"first": "true"})
    await worker.start(script=[Step(say=Step.Say(text="other"))], prompt="other", timeout=0.001)
    (worker.worktree / "go").touch()
    events = await worker.events(attempt)
    assert ending(events) == ("SUCCEEDED", "")
    assert output(events) == "first\n"
    assert [each.check_finished.name for each in payloads(events, "check_finished")] == ["first"]
    session = await worker.session(attempt)
    await worker.start("command:false", prompt="other")
    assert await worker.session(attempt) == session


async def test_the_first_answer_is_final(worker: Agents) -> None:
    """A later answer to the same question is not recorded and does not reach the agent."""
    script = [Step(ask=Step.Ask(question="May I?")), Step(wait=Step.Wait(duration=seconds(60)))]
    attempt = await worker.start(script=script, environment={"HEDDLE_SCRIPT_SPEED": "1"})
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    question = asked.approval_requested.approval_id
    await worker.answer(attempt, question, approved=True, message="Go")
    await worker.answer(attempt, question, approved=False, message="Stop")
    await worker.stop(attempt)
    resolved = [
        each.approval_resolved for each in payloads(await worker.events(attempt), "approval_resolved")
    ]
    assert [(each.approved, each.message) for each in resolved] == [(True, "Go")]


async def test_the_first_message_of_an_id_counts(worker: Agents) -> None:
    """Another text with the id of an earlier message is not delivered."""
    script = [Step(wait=Step.Wait(duration=seconds(60)))]
    attempt = await worker.start(script=script, environment={"HEDDLE_SCRIPT_SPEED": "1"})
    await worker.until(attempt, lambda event: event.HasField("session_started"))
    await send(worker, attempt, "Use tabs", "m1")
    await send(worker, attempt, "Use spaces", "m1")
    await send(worker, attempt, "Go on", "m2")
    await worker.until(attempt, lambda event: said(event) == ("user:ada", "Go on"))
    await worker.stop(attempt)
    # What the agent says about them may come in pieces.
    messages = [said(event) for event in payloads(await worker.events(attempt), "message")]
    assert [text for actor, text in messages if actor == "user:ada"] == ["Use tabs", "Go on"]


async def test_the_first_end_of_a_session_counts(worker: Agents) -> None:
    """A stop of a session that has ended, with another reason, changes neither its outcome nor its log."""
    attempt = await worker.start("command:true")
    events = await worker.events(attempt)
    session = await worker.stop(attempt)
    assert session.result.outcome == pb.OUTCOME_SUCCEEDED
    request = pb.StopSessionRequest(attempt=attempt, epoch=1, reason="another")
    assert (await worker.stub.StopSession(request)).session == session
    assert await worker.events(attempt) == events
