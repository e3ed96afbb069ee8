"""Operations of the driver suite on one agent_svc: start, read, answer and end sessions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

import grpc
import psutil

from heddle import pb
from heddle.files.worktree_paths import record_file_of, worktree_of
from heddle.names import AttemptName, EpicName
from heddle.v1.agent_service_pb2_grpc import AgentServiceStub

# Seconds to wait for an expected event.
DEADLINE: Final = 60.0


def make_worktree(home: Path, epic: EpicName) -> Path:
    """Creates an empty worktree without a repository, where an agent_svc with HEDDLE_HOME `home` looks for it."""
    worktree = worktree_of(home, epic)
    worktree.mkdir(parents=True, exist_ok=True)
    record_file_of(worktree).write_text("{}")
    return worktree


class Stage:
    """One agent_svc at `channel`, and a worktree on its disk."""

    def __init__(self, channel: grpc.aio.Channel, worktree: Path) -> None:
        self._stub = AgentServiceStub(channel)
        self.worktree = worktree
        self._attempts = 0

    async def start(self, request: pb.StartSessionRequest, *, resume: str = "") -> str:
        """Starts `request` as the next attempt of a task; returns the attempt's name."""
        self._attempts += 1
        started = pb.StartSessionRequest()
        started.CopyFrom(request)
        run, epic = self.worktree.parts[-2:]
        started.attempt = str(AttemptName(run, epic, "t", self._attempts))
        started.epoch = 1
        started.resume_attempt = resume
        await self._stub.StartSession(started)
        return started.attempt

    async def watch(self, attempt: str) -> AsyncIterator[pb.Event]:
        """Yields a session's events from the first one; fails after the deadline."""
        request = pb.AgentServiceWatchSessionRequest(attempt=attempt)
        async with asyncio.timeout(DEADLINE):
            async for response in self._stub.WatchSession(request):
                for event in response.events:
                    yield event

    async def events(self, attempt: str) -> list[pb.Event]:
        """Returns all events, once the session has ended."""
        return [event async for event in self.watch(attempt)]

    async def until(self, attempt: str, seen: Callable[[pb.Event], bool]) -> pb.Event:
        """Returns the first event that `seen` accepts."""
        last = None
        async for event in self.watch(attempt):
            if seen(event):
                return event
            last = event
        raise AssertionError(f"the session ended before that: {last}")

    async def stop(self, attempt: str) -> None:
        """Stops a session; returns after it has ended."""
        request = pb.StopSessionRequest(attempt=attempt, epoch=1, reason="the suite says so")
        await self._stub.StopSession(request, timeout=DEADLINE)

    async def answer(self, attempt: str, asked: pb.Event, *, approved: bool, message: str) -> None:
        """Answers a question of the agent."""
        request = pb.AnswerApprovalRequest(
            attempt=attempt,
            epoch=1,
            approval_id=asked.approval_requested.approval_id,
            approved=approved,
            message=message,
        )
        await self._stub.AnswerApproval(request)


def said(events: Sequence[pb.Event]) -> str:
    """Returns the agent's text, from model messages and from standard output."""
    return "".join(
        event.message.text if event.message.kind == pb.MESSAGE_KIND_TEXT else event.output.text
        for event in events
        if event.message.kind == pb.MESSAGE_KIND_TEXT or event.output.stream == pb.OUTPUT_STREAM_STDOUT
    )


def output_text(events: Sequence[pb.Event]) -> str:
    """Returns all text in the log: messages, output and tool results."""
    return "".join(event.message.text + event.output.text + event.tool_finished.result for event in events)


def payloads(events: Sequence[pb.Event], kind: str) -> list[pb.Event]:
    """Returns the events whose payload is `kind`."""
    return [event for event in events if event.WhichOneof("payload") == kind]


def ending(events: Sequence[pb.Event]) -> pb.SessionFinished:
    """Returns how the session ended; session_finished must occur once, as the last event."""
    assert [event.HasField("session_finished") for event in events] == [False] * (len(events) - 1) + [True]
    return events[-1].session_finished


def tree(events: Sequence[pb.Event]) -> list[psutil.Process]:
    """Returns the session's processes: first the one that agent_svc started, then all of its descendants.

    Returns an empty list if the session has ended or could not start.
    """
    started = next(event.session_started for event in events if event.HasField("session_started"))
    try:
        root = psutil.Process(started.process_id)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
