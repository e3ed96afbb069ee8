"""Answers the requests of an ACP agent: permissions, files and terminals in its worktree."""

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from acp import RequestError
from acp.schema import (
    AllowedOutcome,
    CreateTerminalResponse,
    DeniedOutcome,
    EnvVariable,
    KillTerminalResponse,
    PermissionOption,
    ReadTextFileResponse,
    ReleaseTerminalResponse,
    RequestPermissionResponse,
    TerminalOutputResponse,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
    WaitForTerminalExitResponse,
    WriteTextFileResponse,
)

from agent_svc.agents.acp.forwarded_messages import METHOD
from agent_svc.agents.acp.memory import Memory
from agent_svc.agents.acp.terminals import Terminal, command_line, open_terminal
from agent_svc.agents.acp.transcript import Transcript
from agent_svc.agents.base.context_fill import with_context
from agent_svc.agents.base.host import Host
from agent_svc.agents.base.images import Picture
from agent_svc.agents.base.permission_gate import permit
from agent_svc.agents.base.tool_vocabulary import ToolCall, relative_target
from agent_svc.agents.claude.messages import system_messages
from agent_svc.agents.claude.messages.background_tasks import Tasks
from agent_svc.agents.claude.messages.rate_limits import METADATA, REPORTED, RateLimit, rate_limit
from agent_svc.agents.claude.own_folder import result_folders
from heddle import pb
from heddle.timing import running_time

# In order of preference: an agent never asks again after an "always" answer.
YES: Final = ("allow_once", "allow_always")
NO: Final = ("reject_once", "reject_always")

# Seconds that Claude's adapter has to report the name of a tool for which it has asked a permission.
NAMING: Final = 60.0


class Client:
    """Our side of the protocol, with the method names of its library.

    `names_tools`: the agent reports the own name of each tool, as Claude's adapter does.
    """

    def __init__(self, host: Host, *, names_tools: bool = False) -> None:
        self._host = host
        self._names_tools = names_tools
        # By call id: the requests that wait for the name of their tool.
        self._nameless: dict[str, asyncio.Event] = {}
        # For Claude's adapter; other agents have no such folders.
        host.readable += result_folders(host.worktree, os.environ)
        self.transcript = Transcript(host.worktree, time.monotonic)
        # True while a session is loaded: the agent then repeats its earlier messages.
        self.replaying = False
        # True: the agent can resume a session of an earlier process.
        self.resumable = False
        # The data to resume the session, as last stored.
        self.memory = ""
        # By terminal id: the terminal, and the command that runs in it.
        self._terminals: dict[str, tuple[Terminal, str]] = {}
        # Claude Code's background tasks; empty for other agents.
        self.tasks = Tasks()
        # The rate limit that Claude's adapter reported last. None: it reported none.
        self.limit: RateLimit | None = None
        # The lines about MCP servers that are not available: each new turn of Claude Code repeats them.
        self._not_there: set[str] = set()
        # When the agent last sent an update of its session.
        self._updated = time.monotonic()
        # Permitted commands that no terminal has run yet.
        self._granted: set[str] = set()

    def running(self, quiet: float) -> list[str]:
        """Returns what runs: commands in terminals, tasks, and open calls.

        Leaves out open calls if the agent has sent nothing for `quiet` seconds.
        """
        lines = [line for terminal, line in self._terminals.values() if terminal.runs] + self.tasks.names
        if self.tasks.idle and not self._is_quiet(quiet):
            lines += [label for label in self.transcript.open_calls() if label not in lines]
        return lines

    def rests(self) -> bool:
        """Returns whether an agent that has nothing running will start no further turn."""
        works = not self.tasks.idle and bool(self.transcript.open_calls())
        return not works and self._is_quiet(self.tasks.patience)

    def _is_quiet(self, seconds: float) -> bool:
        return time.monotonic() - self._updated >= seconds

    def end_terminals(self) -> None:
        """Ends every command that still runs in a terminal."""
        for terminal, _ in self._terminals.values():
            terminal.kill()

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """Processes a message of Claude Code that Claude's adapter forwards."""
        message = params.get("message")
        if method != METHOD or self.replaying or not isinstance(message, dict):
            return
        self._updated = time.monotonic()
        self._follow(message)
        was_unsettled = self.transcript.forwarded.unsettled
        self._host.emit(*with_context(self.transcript.forwarded.take(message), *self.transcript.context))
        self._note(message)
        self._take_limit(message.get(REPORTED))
        if self.transcript.forwarded.unsettled and not was_unsettled:
            self.remember(str(params.get("sessionId")))

    def _note(self, message: dict[str, Any]) -> None:
        """Adds what a system message says to the session's log."""
        match message.get("subtype"):
            case system_messages.COMPACTED:
                self._host.note(system_messages.compacted(message))
            case system_messages.BEGUN:
                for line in system_messages.servers_not_there(message):
                    if line not in self._not_there:
                        self._not_there.add(line)
                        self._host.note(line)

    def _take_limit(self, told: object) -> None:
        """Stores the state of a rate limit, and adds a line to the session's log if it is reached."""
        limit = rate_limit(told)
        if limit is None or limit == self.limit:
            return
        self.limit = limit
        if limit.reached:
            self._host.note(f"{limit.said}.")

    def _follow(self, message: dict[str, Any]) -> None:
        """Records the information about Claude's background tasks in a message."""
        if isinstance(call_id := message.get("tool_use_id"), str):
            call = self.transcript.call(call_id).described(self._host.worktree)
            if call.kind == pb.TOOL_KIND_COMMAND:
                self.tasks.note_command(call_id, call.target)
        self.tasks.take(message)

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        if self.replaying:
            return
        self._updated = time.monotonic()
        self._host.tell(lambda: self._show(update))
        for call_id, named in self._nameless.items():
            if self.transcript.call(call_id).names_its_tool():
                named.set()
        if isinstance(update, UsageUpdate):
            self._take_limit((update.field_meta or {}).get(METADATA))
            self.remember(session_id)

    def _show(self, update: Any) -> list[pb.Event]:
        events = self.transcript.update(update)
        if isinstance(update, ToolCallStart | ToolCallProgress):
            call = self.transcript.call(update.tool_call_id)
            for each in call.pictures():
                caption = call.described(self._host.worktree).label
                self._host.keep_picture(Picture(each.mime_type, each.data, caption))
        return events

    def remember(self, session_id: str) -> None:
        """Stores what a later attempt needs to resume the session; does nothing if the agent cannot resume."""
        if self.resumable:
            spent, unsettled = self.transcript.spending.total, self.transcript.forwarded.unsettled
            self.memory = str(Memory(session_id, spent, unsettled))
            self._host.remember(self.memory)

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: Any
    ) -> RequestPermissionResponse:
        named = await self._wait_for_name(tool_call.tool_call_id)
        self._host.emit(*self.transcript.update(tool_call), *self.transcript.begin(tool_call.tool_call_id))
        call = self.transcript.call(tool_call.tool_call_id).described(self._host.worktree)
        allowed = await self._permitted(call) if named else self._refuse_unnamed(call)
        if allowed and call.kind == pb.TOOL_KIND_COMMAND:
            self._granted.add(call.target)
        option = None if allowed is None else choose(options, YES if allowed else NO)
        if option is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(
            outcome=AllowedOutcome(outcome="selected", option_id=option.option_id)
        )

    async def _wait_for_name(self, call_id: str) -> bool:
        """Waits until the agent has reported which tool a call uses; returns False if it does not.

        Claude's adapter reports it in an update of the session, and a request for a permission can overtake that update.
        Without the name, a tool that runs commands looks like any other, and the plan's patterns miss it.
        """
        call = self.transcript.call(call_id)
        if not self._names_tools or call.names_its_tool():
            return True
        event = self._nameless[call_id] = asyncio.Event()
        tasks = asyncio.create_task(event.wait()), asyncio.create_task(running_time.sleep(NAMING))
        try:
            await self._host.wait_unless_stopped(*tasks)
        finally:
            del self._nameless[call_id]
            for task in tasks:
                task.cancel()
        return call.names_its_tool()

    def _refuse_unnamed(self, call: ToolCall) -> bool | None:
        """Returns False for a call of an unknown tool, or None if the session ends before there is an answer."""
        if self._host.stopping.is_set():
            return None
        self._host.note(f"{call.label} was not permitted: the agent did not report which tool it uses")
        return False

    async def read_text_file(
        self, session_id: str, path: str, line: int | None = None, limit: int | None = None, **_: Any
    ) -> ReadTextFileResponse:
        await self._require(path, "Read", pb.TOOL_KIND_READ)
        try:
            text = await asyncio.to_thread(Path(path).read_text, encoding="utf-8", errors="replace")
        except (OSError, ValueError, RuntimeError) as error:
            raise _failed(path, error) from error
        begin = (line or 1) - 1
        lines = text.splitlines(keepends=True)[begin:] if line or limit else [text]
        return ReadTextFileResponse(content="".join(lines if limit is None else lines[:limit]))

    async def write_text_file(
        self, session_id: str, path: str, content: str, **_: Any
    ) -> WriteTextFileResponse:
        call = await self._require(path, "Write", pb.TOOL_KIND_EDIT)
        if not call.writes_inside:
            raise RequestError(-32600, f"{path} cannot be written from here: it is outside the worktree")
        try:
            await asyncio.to_thread(_write, self._host.worktree / call.target, content)
        except (OSError, ValueError, RuntimeError) as error:
            raise _failed(path, error) from error
        return WriteTextFileResponse()

    async def create_terminal(  # noqa: PLR0917 (the protocol has so many)
        self,
        session_id: str,
        command: str,
        args: list[str] | None = None,
        env: list[EnvVariable] | None = None,
        cwd: str | None = None,
        output_byte_limit: int | None = None,
        **_: Any,
    ) -> CreateTerminalResponse:
        line = command_line(command, args or [])
        if line in self._granted:
            self._granted.discard(line)
        elif not await self._permitted(ToolCall("", "Bash", line, pb.TOOL_KIND_COMMAND, line)):
            raise RequestError(-32600, f"not permitted: {line}")
        name = f"terminal-{len(self._terminals) + 1}"

        def tell(text: str) -> None:
            call_id = self.transcript.call_of_terminal(name)
            output = pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=text, tool_call_id=call_id)
            self._host.emit(pb.Event(output=output))

        environment = {variable.name: variable.value for variable in env or []}
        folder = self._host.worktree / (cwd or "")
        try:
            terminal = await open_terminal(line, folder, environment, output_byte_limit, tell)
        except (OSError, ValueError) as error:
            raise RequestError(-32603, f"the command could not be started: {error}") from error
        self._terminals[name] = terminal, line
        return CreateTerminalResponse(terminal_id=name)

    async def terminal_output(self, session_id: str, terminal_id: str, **_: Any) -> TerminalOutputResponse:
        return self._terminal(terminal_id).output()

    async def wait_for_terminal_exit(
        self, session_id: str, terminal_id: str, **_: Any
    ) -> WaitForTerminalExitResponse:
        ended = await self._terminal(terminal_id).wait()
        return WaitForTerminalExitResponse(exit_code=ended.exit_code, signal=ended.signal)

    async def kill_terminal(self, session_id: str, terminal_id: str, **_: Any) -> KillTerminalResponse:
        self._terminal(terminal_id).kill()
        return KillTerminalResponse()

    async def release_terminal(self, session_id: str, terminal_id: str, **_: Any) -> ReleaseTerminalResponse:
        # The terminal stays in the table, so that its name is not used again.
        self._terminal(terminal_id).kill()
        return ReleaseTerminalResponse()

    def _terminal(self, terminal_id: str) -> Terminal:
        if terminal_id not in self._terminals:
            raise RequestError.resource_not_found(terminal_id)
        return self._terminals[terminal_id][0]

    async def _require(self, path: str, tool: str, kind: "pb.ToolKind.ValueType") -> ToolCall:
        target = relative_target(self._host.worktree, path)
        call = ToolCall("", tool, target, kind, "", paths=(target,))
        if not await self._permitted(call):
            raise RequestError(-32600, f"not permitted: {tool} {target}")
        return call

    async def _permitted(self, call: ToolCall) -> bool | None:
        """Returns whether `call` is allowed; None if the session ends before there is an answer."""
        asking = asyncio.ensure_future(permit(self._host, call))
        try:
            await self._host.wait_unless_stopped(asking)
            if not asking.done():
                return None
            permission = asking.result()
        finally:
            asking.cancel()
        if not permission.allowed:
            self._host.note(f"{call.name} {call.target} was not permitted: {permission.reason}")
            if permission.words:
                # The protocol's answer cannot contain a comment.
                self._host.heard.put_nowait(
                    f"The operator denied {call.name} {call.target}: {permission.words}"
                )
        return permission.allowed


def choose(options: Iterable[PermissionOption], kinds: Iterable[str]) -> PermissionOption | None:
    """Returns the option of the first of `kinds` that is offered; None if no kind is offered."""
    offered = list(options)
    return next((option for kind in kinds for option in offered if option.kind == kind), None)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _failed(path: str, error: Exception) -> RequestError:
    if isinstance(error, FileNotFoundError):
        return RequestError.resource_not_found(path)
    return RequestError(-32603, f"{path}: {getattr(error, 'strerror', None) or error}")
