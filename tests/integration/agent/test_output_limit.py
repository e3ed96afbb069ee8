"""Agents, setups and checks that write far more than a session stores, run as real processes."""

from pathlib import Path

import grpc
import pytest

from heddle import pb
from tests.support.agents import agents, attempt_name, ending, output, payloads, seconds

LIMIT = 2 << 20

# About 20 MB each.
LINES = "seq 1 2700000"
ONE_LINE = "head -c 20000000 /dev/zero | tr '\\0' x"


def marks(events: list[pb.Event]) -> list[pb.OutputLeftOut]:
    return [event.output_left_out for event in payloads(events, "output_left_out")]


async def test_an_agent_that_prints_without_end(tmp_path: Path) -> None:
    """Endless output keeps its start and end, reports how much was left out, and does not block the agent."""
    async with agents(tmp_path, HEDDLE_SESSION_TEXT=str(LIMIT)) as worker:
        lines = await worker.run(f"command:{LINES}; echo done", task="lines", checks={"ran": "test ! -e x"})
        line = await worker.run(f"command:{ONE_LINE}; echo; echo done", task="line")
        spooled = sum(path.stat().st_size for path in tmp_path.rglob("events.log"))

    for events in (lines, line):
        # The agent was neither ended nor blocked.
        assert ending(events) == ("SUCCEEDED", "")
        told = marks(events)
        assert told[-1].final
        assert not any(mark.final for mark in told[:-1])
        assert told[-1].left_out_bytes > 17_000_000
        assert LIMIT > len(output(events)) > LIMIT // 2
        assert output(events).endswith("done\n")
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert output(lines).startswith("1\n2\n3\n")
    assert output(lines).endswith("2700000\ndone\n")
    assert payloads(lines, "check_finished")[0].check_finished.ok
    assert spooled <= 2 * LIMIT + (256 << 10)


async def test_setup_and_checks_that_print_without_end(tmp_path: Path) -> None:
    """Setup output does not reduce the agent's limit; of a check's output only the end is stored."""
    async with agents(tmp_path, HEDDLE_SESSION_TEXT=str(LIMIT)) as worker:
        request = pb.StartSessionRequest(
            attempt=attempt_name(),
            epoch=1,
            agent="command:seq 1 100000",
            prompt="Do it",
            setup=pb.Setup(commands=[LINES, ONE_LINE], timeout=seconds(120), incarnation="i"),
            checks=[pb.Check(name="loud", run=f"{LINES}; {ONE_LINE}; echo; echo checked")],
        )
        await worker.stub.StartSession(request)
        events = await worker.events(request.attempt)

    assert ending(events) == ("SUCCEEDED", "")
    begun = next(place for place, event in enumerate(events) if event.HasField("session_started"))
    setup, agent = events[:begun], events[begun:]
    assert marks(setup)[-1].final
    assert sum(event.ByteSize() for event in setup) <= LIMIT // 8 + (64 << 10)
    # All of the agent's output is there.
    assert not marks(agent)
    assert output(agent) == "".join(f"{number}\n" for number in range(1, 100001))
    (check,) = [event.check_finished for event in payloads(events, "check_finished")]
    assert check.ok
    assert check.output.endswith("x\nchecked\n")
    assert len(check.output) <= 64 << 10


async def test_tool_calls_without_end(tmp_path: Path) -> None:
    """Beyond the limit, the start and end of each call are still reported, with shortened details."""
    step = pb.ScriptStep(run=pb.ScriptStep.RunCommand(command="head -c 60000 /dev/zero | tr '\\0' y"))
    async with agents(tmp_path, HEDDLE_SESSION_TEXT=str(LIMIT)) as worker:
        permissions = pb.Permissions(default=pb.PERMISSION_DECISION_ALLOW)
        events = await worker.run(script=[step] * 40, permissions=permissions)
    assert ending(events) == ("SUCCEEDED", "")
    assert len(payloads(events, "tool_started")) == len(payloads(events, "tool_finished")) == 40
    assert marks(events)[-1].final
    assert sum(event.ByteSize() for event in events) <= LIMIT


async def test_a_released_log_is_gone_but_for_what_a_later_session_needs(tmp_path: Path) -> None:
    """Release removes a large log; the session's outcome and the operator's messages remain."""
    async with agents(tmp_path) as worker:
        step = pb.ScriptStep(flood=pb.ScriptStep.Flood(lines=20_000, width=100))
        wait = pb.ScriptStep(ask=pb.ScriptStep.Ask(question="Go on?"))
        attempt = await worker.start(script=[step, wait])
        asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
        release = pb.ReleaseSessionRequest(attempt=attempt, epoch=1)
        with pytest.raises(grpc.aio.AioRpcError) as running:
            await worker.stub.ReleaseSession(release)
        assert running.value.code() == grpc.StatusCode.NOT_FOUND
        await worker.tell(attempt, "Use tabs")
        await worker.answer(attempt, asked.approval_requested.approval_id, approved=True)
        await worker.events(attempt)

        freed = (await worker.stub.ReleaseSession(release)).disk_bytes
        assert freed > 2_000_000
        assert (await worker.stub.ReleaseSession(release)).disk_bytes == 0
        assert not list(tmp_path.rglob("events.log"))
        assert (await worker.session(attempt)).result.outcome == pb.OUTCOME_SUCCEEDED
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await worker.events(attempt)
        assert gone.value.code() == grpc.StatusCode.NOT_FOUND

        again = await worker.run("command:cat", number=2, resume=attempt, prompt="Do it")
        assert "Use tabs" in output(again)
        # A small log is kept.
        small = pb.ReleaseSessionRequest(attempt=attempt_name(number=2), epoch=1)
        assert (await worker.stub.ReleaseSession(small)).disk_bytes == 0
        assert await worker.events(attempt_name(number=2)) == again
