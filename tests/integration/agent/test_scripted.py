import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from heddle import pb
from tests.support.agents import Agents, Step, agents, ending, kinds, output, payloads, seconds


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


async def test_say_streams_text_that_ends(worker: Agents) -> None:
    """A message arrives in pieces that join to the text, the last one marked."""
    script = [Step(say=Step.Say(text="Hello there, world")), Step(think=Step.Say(text="Hmm"))]
    events = await worker.run(script=script, environment={"HEDDLE_SCRIPT_SPEED": "0.01"})
    messages = [event.message for event in payloads(events, "message")]
    said = [message for message in messages if message.kind == pb.MESSAGE_KIND_TEXT]
    assert "".join(message.text for message in said) == "Hello there, world"
    assert said[-1].last
    assert (messages[-1].kind, messages[-1].text) == (pb.MESSAGE_KIND_THINKING, "Hmm")
    assert ending(events) == ("SUCCEEDED", "")


async def test_events_name_where_they_belong(worker: Agents) -> None:
    """Events are numbered without gaps and carry run, epic, task, attempt, time and actor."""
    events = await worker.run(script=[Step(say=Step.Say(text="Hi"))], number=3)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert {(event.run, event.epic, event.task, event.attempt) for event in events} == {
        ("runs/r", "e", "t", 3)
    }
    assert all(event.HasField("time") for event in events)
    assert [event.actor for event in events] == ["worker:local", "agent:scripted", "worker:local"]
    assert events[0].session_started.agent == "scripted"
    assert events[0].session_started.process_id > 0


async def test_write_and_edit_change_files(worker: Agents) -> None:
    """A write and an edit are tool calls with real effects."""
    script = [
        Step(write=Step.WriteFile(path="a/b.txt", text="one two one\n")),
        Step(edit=Step.EditFile(path="a/b.txt", find="one", replace="three")),
    ]
    events = await worker.run(script=script)
    assert (worker.worktree / "a/b.txt").read_text() == "three two one\n"
    started = [event.tool_started for event in payloads(events, "tool_started")]
    assert [(tool.name, tool.target) for tool in started] == [("Write", "a/b.txt"), ("Edit", "a/b.txt")]
    assert all(tool.kind == pb.TOOL_KIND_EDIT for tool in started)
    finished = [event.tool_finished for event in payloads(events, "tool_finished")]
    assert [tool.tool_call_id for tool in finished] == [tool.tool_call_id for tool in started]
    assert all(tool.ok and tool.HasField("duration") for tool in finished)


@pytest.mark.parametrize(
    "step",
    [
        Step(edit=Step.EditFile(path="absent.txt", find="a", replace="b")),
        Step(write=Step.WriteFile(path="../outside.txt", text="x")),
        Step(run=Step.RunCommand(command="exit 7")),
    ],
    ids=["edit", "outside", "command"],
)
async def test_failed_tool_is_no_failed_session(worker: Agents, step: pb.ScriptStep) -> None:
    """A failed tool call is reported as failed, and the agent continues."""
    events = await worker.run(script=[step, Step(say=Step.Say(text="Still here"))])
    (finished,) = payloads(events, "tool_finished")
    assert not finished.tool_finished.ok
    assert finished.tool_finished.result
    assert ending(events) == ("SUCCEEDED", "")
    assert not (worker.worktree.parent / "outside.txt").exists()


async def test_run_tells_output_of_its_tool_call(worker: Agents) -> None:
    """A command's output, on both streams, carries the id of its tool call."""
    events = await worker.run(script=[Step(run=Step.RunCommand(command="pwd; echo oops >&2"))])
    (started,) = payloads(events, "tool_started")
    assert (started.tool_started.name, started.tool_started.target) == ("Bash", "pwd; echo oops >&2")
    of_tool = [event for event in payloads(events, "output") if event.output.tool_call_id]
    assert {event.output.tool_call_id for event in of_tool} == {started.tool_started.tool_call_id}
    assert output(of_tool) == f"{worker.worktree}\n"
    assert output(of_tool, pb.OUTPUT_STREAM_STDERR) == "oops\n"


async def test_screenshot_is_a_picture_that_can_be_fetched(worker: Agents) -> None:
    """A screenshot is an artifact: a real PNG with its caption and size."""
    script = [Step(screenshot=Step.TakeScreenshot(caption="Login page: it works"))]
    attempt = await worker.start(script=script)
    events = await worker.events(attempt)
    (event,) = payloads(events, "screenshot")
    shot = event.screenshot
    assert (shot.caption, shot.media_type) == ("Login page: it works", "image/png")
    data = await worker.fetch(attempt, shot.artifact)
    assert len(data) == shot.size_bytes
    width, height = struct.unpack(">II", data[16:24])
    begin = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[begin - 4 : begin])
    pixels = zlib.decompress(data[begin + 4 : begin + 4 + length])
    assert len(pixels) == height * (width * 3 + 1)


async def test_screenshots_stay_out_of_commits(worker: Agents) -> None:
    """The folder of screenshots hides itself from git."""
    await worker.run(script=[Step(screenshot=Step.TakeScreenshot(caption="One"))])
    assert (worker.worktree / ".heddle/screenshots/.gitignore").read_text() == "*\n"


async def test_usage_without_price_stays_unknown(worker: Agents) -> None:
    """A usage report keeps its tokens, and an unknown cost stays unknown."""
    priced = Step.ReportUsage(model="m", input_tokens=5, output_tokens=6, cost_usd_micros=7)
    unpriced = Step.ReportUsage(model="m", cache_read_tokens=8, cache_write_tokens=9)
    events = await worker.run(script=[Step(usage=priced), Step(usage=unpriced)])
    first, second = (event.usage for event in payloads(events, "usage"))
    assert (first.model, first.input_tokens, first.output_tokens, first.cost_usd_micros) == ("m", 5, 6, 7)
    assert (second.cache_read_tokens, second.cache_write_tokens) == (8, 9)
    assert not second.HasField("cost_usd_micros")


async def test_ask_waits_for_yes(worker: Agents) -> None:
    """An approved question lets the agent continue; the same answer twice is one event."""
    attempt = await worker.start(
        script=[Step(ask=Step.Ask(question="May I?")), Step(say=Step.Say(text="Thanks"))]
    )
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    assert asked.approval_requested.question == "May I?"
    approval = asked.approval_requested.approval_id
    await asyncio.gather(*(worker.answer(attempt, approval, approved=True, message="Go") for _ in range(2)))
    events = await worker.events(attempt)
    (resolved,) = payloads(events, "approval_resolved")
    assert (resolved.approval_resolved.approved, resolved.approval_resolved.message) == (True, "Go")
    assert resolved.actor == "user:ada"
    assert payloads(events, "message")[-1].message.text == "Thanks"
    assert ending(events) == ("SUCCEEDED", "")


async def test_ask_denied_fails_the_session(worker: Agents) -> None:
    """A denied question ends the session as failed, with the operator's message."""
    attempt = await worker.start(
        script=[Step(ask=Step.Ask(question="May I?")), Step(say=Step.Say(text="Never"))]
    )
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    await worker.answer(attempt, asked.approval_requested.approval_id, approved=False, message="Too risky")
    events = await worker.events(attempt)
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert "May I?" in reason
    assert "Too risky" in reason
    assert "message" not in kinds(events)


async def test_wait_takes_its_time(worker: Agents) -> None:
    """A wait lasts as long as its step says, whatever the speed."""
    events = await worker.run(script=[Step(wait=Step.Wait(duration=seconds(0.3)))])
    assert events[-1].session_finished.duration.ToTimedelta().total_seconds() >= 0.3


async def test_fail_says_why(worker: Agents) -> None:
    """A script that fails gives its message as the reason."""
    events = await worker.run(
        script=[Step(fail=Step.Fail(message="The API is gone"))], checks={"never": "true"}
    )
    assert ending(events) == ("FAILED", "The API is gone")
    assert events[-1].session_finished.exit_code == 1
    assert "check_finished" not in kinds(events)


async def test_fail_only_in_first_attempts(worker: Agents) -> None:
    """A fail step with 2 attempts lets the third succeed."""
    script = [Step(fail=Step.Fail(message="Not yet", attempts=2))]
    outcomes = [ending(await worker.run(script=script, number=number))[0] for number in (1, 2, 3)]
    assert outcomes == ["FAILED", "FAILED", "SUCCEEDED"]


async def test_flood_writes_every_line(worker: Agents) -> None:
    """A flood writes the number and width of lines that the step says."""
    events = await worker.run(script=[Step(flood=Step.Flood(lines=5000, width=40))])
    lines = output(events).splitlines()
    assert len(lines) == 5000
    assert {len(line) for line in lines} == {40}


async def test_ignored_sigterm_needs_force(worker: Agents) -> None:
    """An agent that ignores SIGTERM is killed after the grace period."""
    script = [
        Step(ignore_sigterm=Step.IgnoreSigterm()),
        Step(say=Step.Say(text="Deaf now")),
        Step(wait=Step.Wait(duration=seconds(60))),
    ]
    attempt = await worker.start(script=script)
    await worker.until(attempt, lambda event: event.HasField("message"))
    session = await worker.stop(attempt, grace=0.2)
    assert session.result.outcome == pb.OUTCOME_STOPPED
    assert session.result.duration.ToTimedelta().total_seconds() >= 0.2
    assert not session.result.HasField("exit_code")


async def test_rehearses_without_script(worker: Agents) -> None:
    """Without a script the agent repeats its prompt, leaves a note, and reports no usage."""
    events = await worker.run(prompt="Build a bridge")
    assert "Build a bridge" in (worker.worktree / "rehearsal/e/t.md").read_text()
    assert "Build a bridge" in "".join(event.message.text for event in payloads(events, "message"))
    assert "usage" not in kinds(events)
    assert ending(events) == ("SUCCEEDED", "")


async def test_an_agent_continues_after_a_denial_if_its_script_says_so(worker: Agents) -> None:
    """A question that no one answers in time counts as denied; the agent says what it does instead, and continues."""
    ask = Step.Ask(question="May I?", if_denied="Then I choose the safe way.")
    script = [Step(ask=ask), Step(write=Step.WriteFile(path="safe.txt", text="yes"))]
    permissions = pb.Permissions(wait=seconds(0.2))
    events = await worker.run(script=script, permissions=permissions)
    (asked,) = payloads(events, "approval_requested")
    assert asked.approval_requested.wait == seconds(0.2)
    (denied,) = payloads(events, "approval_resolved")
    assert denied.approval_resolved.message == "no answer within 0.2 s"
    assert (
        "".join(event.message.text for event in payloads(events, "message")) == "Then I choose the safe way."
    )
    assert (worker.worktree / "safe.txt").read_text() == "yes"
    assert ending(events) == ("SUCCEEDED", "")


async def test_steps_can_wait_for_a_later_attempt(worker: Agents) -> None:
    """A step with `from_attempt` is skipped in earlier attempts, and played from that attempt on."""
    script = [Step(write=Step.WriteFile(path="fixed.txt", text="yes"), from_attempt=2)]
    await worker.run(script=script, number=1)
    assert not (worker.worktree / "fixed.txt").exists()
    await worker.run(script=script, number=2)
    assert (worker.worktree / "fixed.txt").exists()
