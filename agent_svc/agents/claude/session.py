"""Runs one session with Claude Code, from the prompt to the last answer."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    ClaudeSDKError,
    Message,
    ResultError,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    UserMessage,
)

from agent_svc.agents.base import provider_failures
from agent_svc.agents.base.context_fill import with_context
from agent_svc.agents.base.host import AgentFailedError, Host, count_servers, end_all, resume_prompt
from agent_svc.agents.base.revival import KilledError, revived
from agent_svc.agents.claude.background import Background
from agent_svc.agents.claude.failures import HOPELESS, api_failure, error_of, wish
from agent_svc.agents.claude.messages.transcript import Transcript
from agent_svc.agents.claude.messages.usage import Spending, SubAgentCalls
from agent_svc.agents.claude.model_calls import OpenCall, tokens_of, used
from agent_svc.agents.claude.options import claude_options
from agent_svc.agents.claude.own_folder import result_folders
from agent_svc.agents.claude.permission_hook import Guard
from agent_svc.processes.process_table import descendants
from agent_svc.processes.signals import signal_name
from agent_svc.processes.supervisor import Servers
from heddle import pb
from heddle.timing import running_time

# Seconds that Claude has to answer an interrupt, and a request for its usage.
INTERRUPT: Final = 3.0
ASK_USAGE: Final = 5.0


class ForgottenError(Exception):
    """Claude no longer has the session that it should resume."""


class ClaudeKilledError(KilledError):
    """A signal ended Claude during its work."""

    def __init__(self, number: int, resume: str) -> None:
        self._signal = signal_name(number)
        super().__init__(f"Claude Code was killed ({self._signal})", resume)

    def repeated(self, times: int) -> str:
        return f"Claude Code was killed {times} times ({self._signal})"


async def drive(host: Host) -> None:
    """Returns when Claude has done its work or was asked to stop; raises AgentFailedError."""

    async def hold(resume: str) -> None:
        with suppress(ForgottenError):
            await ClaudeSession(host, resume).hold()
            return
        host.note(f"Claude no longer knows its session {resume}; a new one starts.")
        await ClaudeSession(host, "").hold()

    await revived(host, hold)


class ClaudeSession:
    """One process of Claude Code."""

    def __init__(self, host: Host, resume: str) -> None:
        self.id = resume
        self._host = host
        host.readable += result_folders(host.worktree, os.environ)
        self._resume = resume
        self._transcript = Transcript(host.worktree, time.monotonic)
        self._spending = Spending()
        self._background = Background()
        self._servers = Servers()
        # Set by each message from Claude.
        self._moved = asyncio.Event()
        # The background tasks that still run and are ended with the session.
        self._leaves: list[str] = []
        self._call = OpenCall()
        self._sub_calls = SubAgentCalls()
        # The usage of the last answered call.
        self._context = pb.Usage()
        self._client = ClaudeSDKClient(claude_options(host.session, Guard(host), resume))
        # Ids of the messages that Claude has not answered yet.
        self._open: set[str] = set()
        # Seconds that the API last asked Claude to wait.
        self._retry_after: float | None = None

    async def hold(self) -> None:
        """Runs the session; returns once Claude has answered every message or the session must end."""
        holding = asyncio.create_task(self._hold())
        steering = asyncio.create_task(self._steer())
        try:
            await self._host.wait_unless_stopped(holding)
            if not holding.done():
                await self._interrupt(holding)
            if holding.done() and not self._host.stopping.is_set():
                holding.result()
        finally:
            for task in (holding, steering):
                task.cancel()
            await asyncio.gather(holding, steering, return_exceptions=True)
            self._host.emit(*self._transcript.end())
            if cut_off := self._call.rest():
                self._host.emit(pb.Event(usage=cut_off))
            # A background task may outlive Claude, and the service would wait for it again.
            left = descendants(os.getpid()) if self._leaves else []
            with suppress(ClaudeSDKError):
                await self._client.disconnect()
            await end_all(left)

    async def _interrupt(self, holding: "asyncio.Task[None]") -> None:
        # Claude may have ended already: a signal that ends a session reaches all of its processes.
        with suppress(ClaudeSDKError, TimeoutError):
            async with asyncio.timeout(INTERRUPT):
                await self._client.interrupt()
        await asyncio.wait({holding}, timeout=INTERRUPT)

    async def _hold(self) -> None:
        try:
            await self._client.connect()
            if self._resume:
                self._spending.begin(await self._used())
                await self._tell(resume_prompt(self._host.session))
            else:
                await self._tell(self._host.session.prompt)
            await self._listen()
        except ResultError as error:
            if self._resume and "No conversation found" in str(error):
                raise ForgottenError from error
            raise AgentFailedError(f"Claude cannot continue: {error}") from error
        except ClaudeSDKError as error:
            raise self._broken(error) from error

    async def _listen(self) -> None:
        """Waits until all messages are answered and background tasks have ended or reached the wait limit."""
        reading = asyncio.create_task(self._read())
        waited = quiet = 0.0
        try:
            while not reading.done():
                if self._open or self._background.in_turn:
                    quiet = 0.0
                    await self._movement(reading)
                    continue
                names = self._background.names
                self._host.tell_background(names)
                if names and waited < self._host.background_wait and not self._serves_only():
                    waited += await self._movement(reading)
                    continue
                if names or quiet >= self._background.patience:
                    self._leaves = names
                    if await self._host.may_end():
                        self._host.tell_stopped(names)
                        return
                passed = await self._movement(reading)
                quiet = 0.0 if self._moved.is_set() else quiet + passed
            reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        raise AgentFailedError("Claude Code ended before it had answered")

    async def _read(self) -> None:
        async for message in self._client.receive_messages():
            await self._take(message)
            self._moved.set()

    async def _movement(self, reading: "asyncio.Task[None]") -> float:
        """Waits for a message from Claude or its end, at most one tick; returns how many seconds count."""
        self._moved.clear()
        loop = asyncio.get_running_loop()
        begun, moving = loop.time(), asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait(
                {moving, reading}, timeout=running_time.TICK, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            moving.cancel()
        return running_time.counted(loop.time() - begun, running_time.TICK)

    def _serves_only(self) -> bool:
        """Returns whether all background tasks are idle servers, which do not end on their own."""
        count = len(self._background.names)
        return self._background.only_commands and count_servers(self._servers, depth=2) >= count

    def _broken(self, error: ClaudeSDKError) -> Exception:
        code = getattr(error, "exit_code", None)
        if code is not None and code < 0 and self.id:
            return ClaudeKilledError(-code, self.id)
        return AgentFailedError(f"Claude Code broke off: {error}")

    async def _take(self, message: Message) -> None:
        self._host.tell(lambda: self._show(message))
        self._background.follow(message)
        match message:
            case SystemMessage(subtype="init"):
                self.id = message.data["session_id"]
                self._host.remember(self.id)
            case SystemMessage(subtype="api_retry"):
                self._take_retry(message.data)
            case ResultMessage():
                self._take_result(message)
            case StreamEvent() | AssistantMessage() | UserMessage():
                await self._count(message)

    def _take_retry(self, retry: Mapping[str, Any]) -> None:
        """Stores how long the API asks Claude to wait; raises AgentFailedError if waiting does not help."""
        if (status := retry.get("error_status")) in HOPELESS:
            raise provider_failures.failure(api_failure(status, retry["error"]), status, retry["error"])
        self._retry_after = wish(retry)

    def _take_result(self, result: ResultMessage) -> None:
        reports = self._spending.report(result.model_usage or {})
        # The result may include the usage of an interrupted call.
        self._call.settle(event.usage for event in reports)
        self._sub_calls.name(reports)
        self._host.emit(*reports)
        if error := error_of(result, self._retry_after, self._transcript.limit):
            raise error
        self._open.difference_update(result.user_message_uuids or self._open.copy())

    async def _count(self, message: StreamEvent | AssistantMessage | UserMessage) -> None:
        """Reports the usage after each model call of the agent itself or of a sub-agent."""
        of_sub_agent = message.parent_tool_use_id is not None
        if not isinstance(message, StreamEvent):
            ended = of_sub_agent
        elif of_sub_agent:
            # The complete messages of the sub-agent contain the same usage.
            ended = False
        else:
            if (answered := self._call.take(message.event)) is not None:
                self._context = answered
            ended = message.event["type"] == "message_stop"
        if isinstance(message, AssistantMessage) and message.parent_tool_use_id and message.message_id:
            call = used(message.model, message.usage)
            self._sub_calls.take(message.parent_tool_use_id, message.message_id, call)
        if ended:
            totals = await self._used()
            model = totals.get(self._context.model) or {}
            events = self._spending.report(totals)
            self._sub_calls.name(events)
            self._host.emit(*with_context(events, tokens_of(self._context), model.get("contextWindow")))

    def _show(self, message: Message) -> list[pb.Event]:
        for picture in self._transcript.pictures(message):
            self._host.keep_picture(picture)
        events = self._transcript.take(message)
        for event in events:
            self._sub_calls.begin(event)
        return events

    async def _steer(self) -> None:
        """Passes the operator's messages to Claude, which reads them at its next step."""
        while True:
            await self._tell(await self._host.heard.get())

    async def _tell(self, text: str) -> None:
        number = str(uuid.uuid4())
        self._open.add(number)
        await self._client.query(_one_message(text, number))

    async def _used(self) -> Mapping[str, Any]:
        """Returns the session's usage so far, by model; empty if Claude does not report it.

        The SDK has no public call for this, and its results arrive only at the end.
        """
        request = {"subtype": "get_usage", "detached": True, "skip_behaviors": True}
        private: Any = self._client
        try:
            async with asyncio.timeout(ASK_USAGE):
                answer = await private._query._send_control_request(request)  # noqa: SLF001 (see above)
            used: Mapping[str, Any] = answer["session"]["model_usage"] or {}
        except Exception as error:  # noqa: BLE001 (a private call may change; the result contains the same, later)
            self._host.note(f"Claude does not report what it has used so far ({error!r}).")
            return {}
        return used


async def _one_message(text: str, number: str) -> AsyncIterator[dict[str, Any]]:
    yield {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "uuid": number,
    }
