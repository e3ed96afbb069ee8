"""The conformance suite of drivers: what Heddle guarantees for every agent.

The author of a driver runs it as follows:

    class TestMyAgent(DriverSuite):
        subject = MySubject()

where MySubject is a Subject: it makes its agent do what a Scenario says. Needs pytest
with pytest-asyncio. A scenario that the agent lacks is declared in `unsupported`
with its reason, and is listed as skipped.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar, Final, Protocol

import grpc
import psutil
import pytest

from heddle import pb
from heddle.testing.driver_stage import Stage, ending, output_text, payloads, said, tree

TEXT: Final = "Hello from the suite: naïve ünïcode 🎉."
WORKING: Final = "Working on it."
RECOVERED: Final = "That failed; I continued."
FILE: Final = "notes/hello.txt"
CONTENT: Final = "Hello\n"
COMMAND: Final = "echo from-the-command"
APPROVED_FILE: Final = "approved.txt"
APPROVED_COMMAND: Final = f"touch {APPROVED_FILE}"
OTHER_BYTES: Final = r"printf 'caf\351 \377\376 end'"
LONG_OUTPUT: Final = "".join(f"line {number}: all of it has to arrive\n" for number in range(10_000))
LONG_LINE: Final = "0123456789" * 500_000


class Scenario(Enum):
    """A behaviour that a subject triggers in its agent."""

    # Says TEXT and ends.
    TEXT = "text"
    # Writes CONTENT to FILE with a file tool, runs COMMAND with a command tool, and ends.
    TOOLS = "tools"
    # Runs a command that exits with 3, says RECOVERED, ends.
    FAILING_TOOL = "failing tool"
    # Says LONG_OUTPUT and ends.
    LONG_OUTPUT = "long output"
    # Says LONG_LINE, which is 5 MB, and ends.
    LONG_LINE = "long line"
    # Runs OTHER_BYTES, whose output is not UTF-8, and ends.
    OTHER_BYTES = "other bytes"
    # Tries to run APPROVED_COMMAND, for which the request's permissions require a question.
    APPROVAL_GRANTED = "approval granted"
    APPROVAL_DENIED = "approval denied"
    # Like APPROVAL_GRANTED, but the question waits only half a second.
    APPROVAL_UNANSWERED = "approval unanswered"
    # Tries to run APPROVED_COMMAND, which the request's permissions deny.
    DENIED = "denied"
    # Says WORKING and then works forever.
    STOP = "stop"
    TIMEOUT = "timeout"
    CRASH = "crash"
    # Its model answers 401, 429 with a retry-after of 1 second, 529, or cannot be reached.
    UNAUTHORISED = "401"
    RATE_LIMITED = "429"
    OVERLOADED = "529"
    UNREACHABLE = "unreachable"
    # Says TEXT and ends, also when resumed. `Scene.went_on` returns whether it knew its first session.
    RESUME = "resume"
    # Resumes a session that the agent does not know; says TEXT and ends.
    RESUME_UNKNOWN = "resume unknown"


# Text that the reason of each failure must contain: the status and the problem.
REASONS: Final = {
    Scenario.UNAUTHORISED: ("401", "log in"),
    Scenario.RATE_LIMITED: ("429", "rate limit"),
    Scenario.OVERLOADED: ("529", "overloaded"),
    Scenario.UNREACHABLE: ("connect",),
}

# The outcome if the driver can distinguish the cause; other drivers report OUTCOME_FAILED.
OUTCOMES: Final = {
    Scenario.UNAUTHORISED: pb.OUTCOME_UNAUTHORIZED,
    Scenario.UNREACHABLE: pb.OUTCOME_PROVIDER_UNAVAILABLE,
    Scenario.RATE_LIMITED: pb.OUTCOME_RATE_LIMITED,
    Scenario.OVERLOADED: pb.OUTCOME_RATE_LIMITED,
}


@dataclass(frozen=True)
class Scene:
    """A prepared scenario: an agent_svc with the driver, and the session to start on it."""

    channel: grpc.aio.Channel
    # From driver_stage.make_worktree, on the disk of the agent_svc.
    worktree: Path
    # Without attempt and epoch, which the suite fills in.
    request: pb.StartSessionRequest
    # For RESUME: returns whether the agent's second session knew of the first.
    went_on: Callable[[], bool] = lambda: False
    # For RESUME_UNKNOWN: makes the agent forget its sessions.
    forget: Callable[[], None] = lambda: None


class Subject(Protocol):
    """A driver with its agent, which the suite controls."""

    # By scenario: why the agent does not support it.
    unsupported: Mapping[Scenario, str]

    def scene(self, scenario: Scenario, folder: Path) -> AbstractAsyncContextManager[Scene]:
        """Prepares a scenario in an empty folder; skips the test if the agent is not installed."""
        ...


@pytest.mark.asyncio
class DriverSuite:
    """One test for each guarantee."""

    subject: ClassVar[Subject]

    async def test_says_what_the_agent_says(self, tmp_path: Path) -> None:
        """All text arrives, and the session of an agent that exits without an error succeeds."""
        events = await self._play(Scenario.TEXT, tmp_path)
        assert said(events).strip() == TEXT
        assert ending(events).outcome == pb.OUTCOME_SUCCEEDED
        messages = [event.message for event in payloads(events, "message")]
        assert all(message.last for message in messages[-1:])

    async def test_reports_tools_in_one_vocabulary(self, tmp_path: Path) -> None:
        """Each tool call reports its tool, its kind, its file or command, and its end."""
        async with self._set(Scenario.TOOLS, tmp_path) as (stage, scene):
            events = await stage.events(await stage.start(scene.request))
            assert (stage.worktree / FILE).read_text() == CONTENT
        started = {
            event.tool_started.tool_call_id: event.tool_started for event in payloads(events, "tool_started")
        }
        finished = [event.tool_finished for event in payloads(events, "tool_finished")]
        assert sorted(tool.tool_call_id for tool in finished) == sorted(started)
        assert all(tool.ok for tool in finished)
        file, command = (
            next(tool for tool in started.values() if tool.kind == kind)
            for kind in (pb.TOOL_KIND_EDIT, pb.TOOL_KIND_COMMAND)
        )
        assert (file.target, file.name in {"Write", "Edit"}) == (FILE, True)
        assert (command.target, command.name) == (COMMAND, "Bash")
        assert "from-the-command" in output_text(events)
        assert ending(events).outcome == pb.OUTCOME_SUCCEEDED

    async def test_a_failed_tool_is_no_failed_session(self, tmp_path: Path) -> None:
        """A failed call is reported as failed, and the agent continues."""
        events = await self._play(Scenario.FAILING_TOOL, tmp_path)
        (finished,) = (event.tool_finished for event in payloads(events, "tool_finished"))
        assert not finished.ok
        assert finished.result
        assert RECOVERED in said(events)
        assert ending(events).outcome == pb.OUTCOME_SUCCEEDED

    @pytest.mark.parametrize(
        ("scenario", "text"),
        [(Scenario.LONG_OUTPUT, LONG_OUTPUT), (Scenario.LONG_LINE, LONG_LINE)],
        ids=["lines", "one-line-of-5-MB"],
    )
    async def test_nothing_is_too_long(self, scenario: Scenario, text: str, tmp_path: Path) -> None:
        """A long text arrives completely and in order, in events of bounded size."""
        events = await self._play(scenario, tmp_path)
        # Compared outside the assert: pytest's diff of two such texts takes minutes.
        whole = said(events).strip() == text.strip()
        assert whole
        assert max(event.ByteSize() for event in events) <= 64 << 10
        assert ending(events).outcome == pb.OUTCOME_SUCCEEDED

    async def test_other_bytes_are_replaced(self, tmp_path: Path) -> None:
        """Output that is not UTF-8 neither breaks the session nor hides the text around it."""
        events = await self._play(Scenario.OTHER_BYTES, tmp_path)
        assert "caf" in output_text(events)
        assert " end" in output_text(events)
        assert ending(events).outcome == pb.OUTCOME_SUCCEEDED

    @pytest.mark.parametrize("approved", [True, False], ids=["granted", "denied"])
    async def test_waits_for_the_operator(self, approved: bool, tmp_path: Path) -> None:
        """A call that needs approval runs only if the operator approves it."""
        scenario = Scenario.APPROVAL_GRANTED if approved else Scenario.APPROVAL_DENIED
        async with self._set(scenario, tmp_path) as (stage, scene):
            attempt = await stage.start(scene.request)
            asked = await stage.until(attempt, lambda event: event.HasField("approval_requested"))
            assert not (stage.worktree / APPROVED_FILE).exists()
            await stage.answer(attempt, asked, approved=approved, message="Says the suite")
            events = await stage.events(attempt)
            assert (stage.worktree / APPROVED_FILE).exists() is approved
        (resolved,) = payloads(events, "approval_resolved")
        assert resolved.approval_resolved.approved is approved
        outcomes = {pb.OUTCOME_SUCCEEDED} if approved else {pb.OUTCOME_SUCCEEDED, pb.OUTCOME_FAILED}
        assert ending(events).outcome in outcomes

    async def test_a_question_without_an_answer_is_denied(self, tmp_path: Path) -> None:
        """A question that waits longer than the plan allows is denied, and the log shows it."""
        async with self._set(Scenario.APPROVAL_UNANSWERED, tmp_path) as (stage, scene):
            events = await stage.events(await stage.start(scene.request))
            assert not (stage.worktree / APPROVED_FILE).exists()
        assert len(payloads(events, "approval_requested")) == 1
        (resolved,) = payloads(events, "approval_resolved")
        assert not resolved.approval_resolved.approved
        assert resolved.approval_resolved.message

    async def test_what_the_plan_denies_never_happens(self, tmp_path: Path) -> None:
        """A denied call fails without a question."""
        async with self._set(Scenario.DENIED, tmp_path) as (stage, scene):
            events = await stage.events(await stage.start(scene.request))
            assert not (stage.worktree / APPROVED_FILE).exists()
        assert not payloads(events, "approval_requested")
        assert not any(event.tool_finished.ok for event in payloads(events, "tool_finished"))

    async def test_stops_amid_a_turn(self, tmp_path: Path) -> None:
        """Stopping a session ends its agent and all of the agent's processes."""
        async with self._set(Scenario.STOP, tmp_path) as (stage, scene):
            attempt, processes = await self._until_it_works(stage, scene)
            await stage.stop(attempt)
            events = await stage.events(attempt)
        assert ending(events).outcome == pb.OUTCOME_STOPPED
        assert not _alive(processes)

    async def test_takes_no_longer_than_allowed(self, tmp_path: Path) -> None:
        """An agent that exceeds its time limit is ended with all of its processes."""
        seen: list[pb.Event] = []
        processes: set[psutil.Process] = set()
        async with self._set(Scenario.TIMEOUT, tmp_path) as (stage, scene):
            # On a busy machine, the limit may expire before the agent writes anything.
            scene.request.timeout.FromMilliseconds(2500)
            attempt = await stage.start(scene.request)
            async for event in stage.watch(attempt):
                seen.append(event)
                processes.update(tree(seen))
        assert processes
        assert ending(seen).outcome == pb.OUTCOME_TIMED_OUT
        assert not _alive(processes)

    async def test_a_killed_agent_is_no_hanging_session(self, tmp_path: Path) -> None:
        """If the agent's program is killed, the session fails with a reason or the agent recovers."""
        async with self._set(Scenario.CRASH, tmp_path) as (stage, scene):
            attempt, processes = await self._until_it_works(stage, scene)
            # The host survives; the program below it is killed.
            for process in processes[1:] or processes:
                # The process may already have ended, possibly because of the previous kill.
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            events = await stage.events(attempt)
        finished = ending(events)
        assert finished.outcome in {pb.OUTCOME_FAILED, pb.OUTCOME_SUCCEEDED}
        assert bool(finished.reason) is (finished.outcome == pb.OUTCOME_FAILED)
        assert not _alive(processes)

    @pytest.mark.parametrize("scenario", list(REASONS), ids=lambda scenario: scenario.value)
    async def test_says_why_the_model_does_not_answer(self, scenario: Scenario, tmp_path: Path) -> None:
        """If the model refuses or is unreachable, the session fails with a reason that names the cause."""
        events = await self._play(scenario, tmp_path)
        finished = ending(events)
        assert finished.outcome in {pb.OUTCOME_FAILED, OUTCOMES.get(scenario, pb.OUTCOME_FAILED)}
        for part in REASONS[scenario]:
            assert part in finished.reason.lower()

    async def test_resumes_an_earlier_session(self, tmp_path: Path) -> None:
        """A resumed agent remembers its earlier session."""
        async with self._set(Scenario.RESUME, tmp_path) as (stage, scene):
            first = await stage.start(scene.request)
            assert ending(await stage.events(first)).outcome == pb.OUTCOME_SUCCEEDED
            events = await stage.events(await stage.start(scene.request, resume=first))
            assert scene.went_on()
        assert said(events).strip() == TEXT
        assert ending(events).outcome == pb.OUTCOME_SUCCEEDED

    async def test_starts_a_new_session_if_it_cannot_resume(self, tmp_path: Path) -> None:
        """If the agent no longer knows a session, a new one starts, and the log shows it."""
        async with self._set(Scenario.RESUME_UNKNOWN, tmp_path) as (stage, scene):
            first = await stage.start(scene.request)
            await stage.events(first)
            scene.forget()
            events = await stage.events(await stage.start(scene.request, resume=first))
        assert "a new one starts" in "".join(
            event.output.text for event in events if event.output.stream == pb.OUTPUT_STREAM_SYSTEM
        )
        assert said(events).strip() == TEXT
        assert ending(events).outcome == pb.OUTCOME_SUCCEEDED

    async def _until_it_works(self, stage: Stage, scene: Scene) -> tuple[str, list[psutil.Process]]:
        attempt = await stage.start(scene.request)
        seen: list[pb.Event] = []

        def works(event: pb.Event) -> bool:
            seen.append(event)
            return WORKING in said(seen)

        await stage.until(attempt, works)
        return attempt, tree(seen)

    async def _play(self, scenario: Scenario, folder: Path) -> list[pb.Event]:
        async with self._set(scenario, folder) as (stage, scene):
            return await stage.events(await stage.start(scene.request))

    @asynccontextmanager
    async def _set(self, scenario: Scenario, folder: Path) -> AsyncIterator[tuple[Stage, Scene]]:
        if reason := self.subject.unsupported.get(scenario):
            pytest.skip(f"{scenario.value}: {reason}")
        async with self.subject.scene(scenario, folder) as scene:
            yield Stage(scene.channel, scene.worktree), scene


def _alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
