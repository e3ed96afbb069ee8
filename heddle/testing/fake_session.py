"""A session in memory, which the fake worker runs in place of an agent."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from heddle import errors, pb
from heddle.names import AttemptName
from heddle.timing.clock import utc_now


class FakeSession:
    """One session: its log, and whether it was asked to stop."""

    def __init__(self, request: pb.StartSessionRequest) -> None:
        self.request = request
        self.name = AttemptName.parse(request.attempt)
        self.events: list[pb.Event] = []
        self.result: pb.SessionFinished | None = None
        self.stopping = asyncio.Event()
        self.ended = asyncio.Event()
        # By approval_id: True if the operator approved.
        self.answers: dict[str, bool] = {}
        # The operator's messages, by message_id.
        self.heard: dict[str, str] = {}
        self.parked = False
        # What FetchArtifact returns, by artifact.
        self.artifacts: dict[str, bytes] = {}
        self._news = asyncio.Event()

    def emit(self, **payload: Any) -> None:
        """Adds an event to the log; the only keyword argument is the field of its payload."""
        event = pb.Event(run=f"runs/{self.name.run}", epic=self.name.epic, task=self.name.task, **payload)
        event.attempt = self.name.number
        event.sequence = len(self.events) + 1
        event.actor = f"agent:{self.request.agent}"
        event.time.FromDatetime(utc_now())
        self.events.append(event)
        self.ring()

    def begin(self, *, setup_fails: bool) -> bool:
        """Reports the project's setup, if there is one, and the agent's start; returns whether the agent runs."""
        setup = self.request.setup
        if setup.commands and setup_fails:
            self.emit(setup_finished=pb.SetupFinished(command="make", exit_code=2, output="no rule"))
            return False
        if setup.commands:
            self.emit(setup_finished=pb.SetupFinished(ok=True, incarnation=setup.incarnation))
        self.emit(session_started=pb.SessionStarted(agent=self.request.agent, process_id=1))
        return True

    def ring(self) -> None:
        """Wakes all callers of `news`."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def park(self) -> None:
        """Parks the session, which then ends; raises WRONG_STATE unless it waits for an answer."""
        asked = {each.approval_requested.approval_id for each in self.events} - {""}
        if not self.parked and not asked - self.answers.keys():
            raise errors.HeddleError(pb.ERROR_REASON_WRONG_STATE, "it does not wait", state="running")
        self.parked = True
        self.stopping.set()

    def answer(self, approval_id: str, *, approved: bool) -> None:
        """Records the operator's answer; raises WRONG_STATE if the session is parked."""
        if self.parked:
            raise errors.HeddleError(pb.ERROR_REASON_WRONG_STATE, "it is parked", state="parked")
        self.answers[approval_id] = approved
        self.ring()

    async def news(self) -> None:
        """Waits for the next event or answer."""
        await self._news.wait()

    def message(self) -> pb.Session:
        return pb.Session(
            attempt=self.request.attempt,
            state=pb.SESSION_STATE_FINISHED if self.result else pb.SESSION_STATE_RUNNING,
            last_sequence=len(self.events),
            result=self.result,
        )


# Plays a session: emits events; returns how it ended.
Play = Callable[[FakeSession], Awaitable[pb.SessionFinished]]


async def fail_setup(_session: FakeSession) -> pb.SessionFinished:
    """Ends immediately because the project's setup failed."""
    return pb.SessionFinished(outcome=pb.OUTCOME_SETUP_FAILED, reason="the project's setup failed: no rule")


async def succeed(_session: FakeSession) -> pb.SessionFinished:
    """Succeeds immediately."""
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
