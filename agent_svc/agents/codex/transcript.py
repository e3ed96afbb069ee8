"""Translates the output of `codex exec --json` to events. Pure, except for the clock passed to it."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from agent_svc.agents.base.tool_vocabulary import ToolCall, plan_told, readable, relative_target
from agent_svc.agents.codex.failures import RECONNECTING
from agent_svc.agents.codex.usage import Spending
from agent_svc.text import system, whole_characters
from heddle import pb

Json: TypeAlias = dict[str, Any]

# The maximum size of a tool result in a session.
MAX_RESULT_BYTES: Final = 64 << 10

# How a line of the sandbox itself begins if the sandbox cannot start.
SANDBOX_VOICE: Final = "bwrap: "

_WRITTEN: Final = {"add": "Write", "delete": "Delete"}

# codex runs every command as `/bin/bash -lc COMMAND`, with the command quoted as one word.
_SHELL: Final = re.compile(r"\S*/(?:ba|z|da)?sh -l?c (.+)", re.DOTALL)
_PART: Final = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^'"\\]+)""", re.DOTALL)
_ESCAPED: Final = re.compile(r'\\([$`"\\])')


class Transcript:
    """Translates the lines of all turns of one session to events, in order. `clock` returns seconds."""

    def __init__(self, worktree: Path, model: str, clock: Callable[[], float], prefix: str = "") -> None:
        self._worktree = worktree
        # The prefix of call ids.
        self._prefix = prefix
        self._clock = clock
        self.spending = Spending(model)
        # The changes of files, by codex's path or by the path relative to the worktree.
        self.patches: Mapping[str, str] = {}
        self._turn = 0
        self._lists = 0
        self._untold = 0
        # The running calls by codex's item: when they began, and the calls.
        self._running: dict[str, tuple[float, list[ToolCall]]] = {}
        # codex's id of the session. Empty: not reported yet.
        self.thread_id = ""
        # Why the turn failed. Empty: it has not failed.
        self.failure = ""
        self.completed = False
        # The commands that still ran when the last turn ended successfully.
        self.cut_off: list[str] = []
        # The last message about a connection that codex retries. Empty: codex is connected.
        self.reconnecting = ""
        # The sandbox's error message if it could not start. Empty: no such error.
        self.sandbox_trouble = ""

    def begin_turn(self) -> None:
        """Prepares for the next codex process, which numbers its items from the start again."""
        self._turn += 1
        self.failure = self.reconnecting = self.sandbox_trouble = ""
        self.completed = False
        self.cut_off = []

    def line(self, line: bytes) -> list[pb.Event]:
        """Returns the events for one line; an unknown line becomes output."""
        text = line.decode(errors="replace")
        try:
            return self._told(whole_characters(json.loads(text)))
        except Exception:  # noqa: BLE001 (it may be anything at all, and is shown as it is)
            return [_system(text)] if text.strip() else []

    def refused(self, command: str, code: int, output: str) -> list[pb.Event]:
        """Returns the events of a command that the sandbox refused and codex did not report."""
        self._untold += 1
        item = {"id": f"refused_{self._untold}", "command": command}
        return self._command({**item, "aggregated_output": output, "exit_code": code}, done=True)

    def end_turn(self) -> list[pb.Event]:
        """Returns the end events of calls whose end codex did not report: their process has ended."""
        events: list[pb.Event] = []
        if self.completed:
            calls = [call for _, calls in self._running.values() for call in calls]
            self.cut_off = [call.target for call in calls if call.kind == pb.TOOL_KIND_COMMAND]
        for item in list(self._running):
            events += self._finish(item, ok=False, result="the turn ended before it did")
        return events

    def _told(self, said: Json) -> list[pb.Event]:
        kind = said["type"]
        if kind == "error":
            return self._error(said["message"])
        self.reconnecting = ""
        match kind:
            case "thread.started":
                self.thread_id = str(said["thread_id"])
            case "turn.started":
                pass
            case "turn.completed":
                self.completed = True
                return self.spending.report(said["usage"])
            case "turn.failed":
                self.failure = str(said["error"]["message"])
            case "item.started" | "item.updated" | "item.completed":
                return self._item(said["item"], done=kind == "item.completed")
            case _:
                return [_system(json.dumps(said, ensure_ascii=False))]
        return []

    def _error(self, message: str) -> list[pb.Event]:
        if message.startswith(RECONNECTING):
            self.reconnecting = message
        return [_system(f"codex: {message}")]

    def _item(self, item: Json, *, done: bool) -> list[pb.Event]:
        match item["type"]:
            case "command_execution":
                return self._command(item, done=done)
            case "file_change":
                return self._call(item, self._changes(item), done=done)
            case "mcp_tool_call":
                return self._call(item, [self._mcp(item)], done=done, result=_mcp_result(item))
            case "web_search":
                return self._call(item, [self._search(item)], done=done)
            case "todo_list":
                return self._todo(item)
            case _:
                return [_words(item)] if done else []

    def _command(self, item: Json, *, done: bool) -> list[pb.Event]:
        command = plain_command(item["command"])
        call = ToolCall(self._id(item), "Bash", command, pb.TOOL_KIND_COMMAND, command)
        output = item.get("aggregated_output") or ""
        code = item.get("exit_code")
        # A longer output is reported only as output of the call, not as its result.
        is_long = len(output.encode()) > MAX_RESULT_BYTES
        result = "" if is_long else output
        if done and code:
            if output.startswith(SANDBOX_VOICE) and SANDBOX_VOICE.strip(": ") not in command:
                self.sandbox_trouble = output
            result = f"exit code {code}\n{result}" if result else f"exit code {code}"
        events = self._call(item, [call], done=done, ok=not code, result=result)
        if done and is_long:
            shown = pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=output, tool_call_id=call.id)
            events.insert(-1, pb.Event(output=shown))
        return events

    def _changes(self, item: Json) -> list[ToolCall]:
        """Returns one call for each file, because people look for the file."""
        calls = []
        for number, change in enumerate(item["changes"]):
            path = relative_target(self._worktree, change["path"])
            name = _WRITTEN.get(change["kind"], "Edit")
            call_id = f"{self._id(item)}.{number}" if number else self._id(item)
            shown = self.patches.get(change["path"]) or self.patches.get(path) or f"{change['kind']} {path}"
            calls.append(ToolCall(call_id, name, path, pb.TOOL_KIND_EDIT, shown))
        return calls

    def _mcp(self, item: Json) -> ToolCall:
        name = f"mcp__{item['server']}__{item['tool']}"
        told = readable(item.get("arguments") or "")
        return ToolCall(self._id(item), name, "", pb.TOOL_KIND_OTHER, told)

    def _search(self, item: Json) -> ToolCall:
        query = str(item.get("query") or "")
        return ToolCall(self._id(item), "WebSearch", query, pb.TOOL_KIND_SEARCH, query)

    def _todo(self, item: Json) -> list[pb.Event]:
        """Returns the list as a call of the tool that other agents use for their plans."""
        self._lists += 1
        steps = [(str(todo["text"]), "completed" if todo["completed"] else "") for todo in item["items"]]
        return plan_told(f"plan-{self._lists}", steps)

    def _call(
        self, item: Json, calls: list[ToolCall], *, done: bool, ok: bool = True, result: str = ""
    ) -> list[pb.Event]:
        events: list[pb.Event] = []
        key = self._id(item)
        if key not in self._running:
            self._running[key] = self._clock(), calls
            events = [call.started() for call in calls]
        if done:
            # A search has no status.
            ok = ok and item.get("status", "completed") == "completed"
            events += self._finish(key, ok=ok, result=result)
        return events

    def _finish(self, key: str, *, ok: bool, result: str) -> list[pb.Event]:
        begun, calls = self._running.pop(key)
        seconds = self._clock() - begun
        return [call.finished(ok=ok, result=result, seconds=seconds) for call in calls]

    def _id(self, item: Json) -> str:
        return f"{self._prefix}{self._turn}.{item['id']}"


def plain_command(command: str) -> str:
    """Returns the command without the shell that codex wraps around it."""
    found = _SHELL.fullmatch(command)
    if not found:
        return command
    parts = list(_PART.finditer(found[1]))
    if sum(len(part[0]) for part in parts) != len(found[1]):
        return command
    return "".join(
        _ESCAPED.sub(r"\1", part[2]) if part[2] is not None else part[1] or part[3] or part[4] or ""
        for part in parts
    )


def _mcp_result(item: Json) -> str:
    if error := item.get("error"):
        return str(error["message"])
    content = (item.get("result") or {}).get("content") or []
    return "\n".join(part["text"] if part.get("type") == "text" else readable(part) for part in content)


def _words(item: Json) -> pb.Event:
    """Returns the event of a text item or of an item of an unknown kind."""
    match item["type"]:
        case "agent_message":
            return _message(item["text"], pb.MESSAGE_KIND_TEXT)
        case "reasoning":
            return _message(item["text"], pb.MESSAGE_KIND_THINKING)
        case "error":
            return _system(f"codex: {item['message']}")
        case _:
            return _system(json.dumps(item, ensure_ascii=False))


def _message(text: str, kind: "pb.MessageKind.ValueType") -> pb.Event:
    return pb.Event(message=pb.Message(kind=kind, text=text, last=True))


def _system(text: str) -> pb.Event:
    return system(f"{text.rstrip()}\n")
