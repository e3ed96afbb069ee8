"""A session that waits for the operator is ended, and a later session resumes it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest
import pytest_asyncio

from heddle import errors, pb
from tests.support.agents import Agents, Step, agents, attempt_name, ending, payloads, seconds

QUESTION = "Delete it?"
SCRIPT = [
    Step(write=Step.WriteFile(path="before.txt", text="1")),
    Step(ask=Step.Ask(question=QUESTION)),
    Step(say=Step.Say(text="Going on")),
]


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


async def park(worker: Agents, attempt: str) -> pb.Session:
    return (await worker.stub.ParkSession(pb.ParkSessionRequest(attempt=attempt, epoch=1))).session


async def refused(call: object) -> errors.HeddleError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]  # a call of grpc.aio is awaitable
    error = errors.from_rpc(caught.value)
    assert error is not None
    return error


async def asking(worker: Agents) -> tuple[str, pb.ApprovalRequested]:
    attempt = await worker.start(script=SCRIPT)
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    return attempt, asked.approval_requested


async def test_a_parked_session_goes_on_with_its_answer(worker: Agents) -> None:
    """Parking ends all processes and leaves the question open; the next session asks and does nothing twice."""
    attempt, asked = await asking(worker)
    assert asked.parkable
    started = await worker.until(attempt, lambda event: event.HasField("session_started"))

    first, second = await asyncio.gather(park(worker, attempt), park(worker, attempt))

    assert first.result.outcome == second.result.outcome == pb.OUTCOME_PARKED
    assert not psutil.pid_exists(started.session_started.process_id)
    assert not payloads(await worker.events(attempt), "approval_resolved")
    assert (await park(worker, attempt)).result.outcome == pb.OUTCOME_PARKED
    answer = pb.AnswerApprovalRequest(attempt=attempt, epoch=1, approval_id=asked.approval_id, approved=True)
    late = await refused(worker.stub.AnswerApproval(answer))
    assert (late.reason, late.metadata["state"]) == (pb.ERROR_REASON_WRONG_STATE, "parked")

    following = attempt_name(number=2)
    await worker.stub.StartSession(
        pb.StartSessionRequest(
            attempt=following,
            epoch=1,
            agent="scripted",
            script=SCRIPT,
            resume_attempt=attempt,
            files_kept=True,
            answers=[
                pb.ApprovalAnswer(
                    approval=pb.Approval(approval_id="approval-1", question=QUESTION), approved=True
                )
            ],
        )
    )
    events = await worker.events(following)
    assert ending(events) == ("SUCCEEDED", "")
    assert not payloads(events, "approval_requested")
    assert not payloads(events, "tool_started")
    assert payloads(events, "message")[0].message.text == "Going on"


async def test_what_was_lost_is_played_again(worker: Agents) -> None:
    """If the parked session's files are lost, the script starts at its first step; the answer still counts."""
    attempt, _ = await asking(worker)
    await park(worker, attempt)

    events = await worker.run(number=2, script=SCRIPT[:1], resume=attempt)

    assert [event.tool_started.target for event in payloads(events, "tool_started")] == ["before.txt"]


async def test_only_a_session_that_waits_is_parked(worker: Agents) -> None:
    """A session that works, has its answer or has ended is not parked."""
    working = await worker.start(task="w", script=[Step(wait=Step.Wait(duration=seconds(60)))])
    assert (await refused(park(worker, working))).reason == pb.ERROR_REASON_WRONG_STATE
    await worker.stop(working)
    assert (await refused(park(worker, working))).reason == pb.ERROR_REASON_WRONG_STATE
    assert ending(await worker.events(working))[0] == "STOPPED"
    assert (await refused(park(worker, attempt_name("nope")))).code == grpc.StatusCode.NOT_FOUND

    attempt, asked = await asking(worker)
    await worker.stub.AnswerApproval(
        pb.AnswerApprovalRequest(attempt=attempt, epoch=1, approval_id=asked.approval_id, approved=True)
    )
    assert (await refused(park(worker, attempt))).reason == pb.ERROR_REASON_WRONG_STATE
    assert ending(await worker.events(attempt)) == ("SUCCEEDED", "")
