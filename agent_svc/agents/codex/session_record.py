"""Reads codex's own record of a session, for information that `codex exec --json` omits.

codex reports a command that the sandbox refuses immediately to the model, but not in the JSON
lines (openai/codex#47433). In codex's record, a reported command has a finished item before its
result; an unreported command has only the result. Lines in other forms are ignored.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from agent_svc.agents.codex.patches import texts

_RESULT: Final = re.compile(r"Process exited with code (\d+)\n.*?Output:\n(.*)", re.DOTALL)


class Refused(NamedTuple):
    """A command that is missing from the JSON lines."""

    command: str
    code: int
    output: str


class Record:
    """The record of one session at a time. Reads new lines as codex writes them."""

    def __init__(self, home: Path) -> None:
        self._sessions = home / "sessions"
        self._thread_id = ""
        self._path: Path | None = None
        self._offset = 0
        # By call id: the command.
        self._called: dict[str, str] = {}
        # True once the record has a separate line for each model call.
        self._exact = False
        # By the path that codex uses: the last patch of a file.
        self.patches: dict[str, str] = {}
        # The model that codex uses. Empty: not known yet.
        self.model = ""
        # The usage since the beginning of the session, in codex's counts. Empty: not known yet.
        self.used: dict[str, int] = {}
        # The tokens in the model's context after the last call, and the size of the context. 0: unknown.
        self.context = 0
        self.window = 0
        # True once codex has replaced the conversation with a summary. The reader that reports it resets it.
        self.compacted = False

    def follow(self, thread_id: str, *, skip: bool) -> None:
        """Starts to read the record of a session, with `skip` from its current end.

        If the session is already being followed, reading continues where it was.
        """
        if thread_id == self._thread_id:
            return
        self._thread_id = thread_id
        self._path = self._find()
        self._offset = 0
        if skip:
            self.read()
            self.compacted = False
        self._called = {}

    def _find(self) -> Path | None:
        if not self._thread_id:
            return None
        return next(self._sessions.glob(f"*/*/*/rollout-*-{self._thread_id}.jsonl"), None)

    def read(self) -> list[Refused]:
        """Returns the commands that were refused since the last call."""
        return [found for line in self._lines() if (found := self._take(line))]

    def _lines(self) -> Iterator[bytes]:
        # codex writes nothing before the first prompt.
        self._path = self._path or self._find()
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        yield from whole.splitlines()

    def _take(self, line: bytes) -> Refused | None:
        try:
            said = json.loads(line)
            self.compacted |= said["type"] == "compacted"
            return self._learn(said["type"], said["payload"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def _count(self, total: dict[str, int], last: dict[str, int]) -> None:
        self.used = dict(total)
        self.context = last.get("total_tokens", 0)

    def _learn(self, kind: str, payload: dict[str, Any]) -> Refused | None:
        match kind, payload.get("type"):
            case "turn_context", _:
                self.model = str(payload["model"])
            case "token_usage_record", _:
                # codex writes this as soon as a call is answered, before its tools run.
                self._exact = True
                self._count(payload["thread_token_usage"], payload.get("usage") or {})
            case "event_msg", "task_started":
                self.window = payload["model_context_window"]
            case "event_msg", "token_count" if not self._exact:
                info = payload["info"]
                self._count(info["total_token_usage"], info.get("last_token_usage") or {})
            case "response_item", "function_call" if payload["name"] == "exec_command":
                self._called[payload["call_id"]] = str(json.loads(payload["arguments"])["cmd"])
            case "response_item", "custom_tool_call" if payload["name"] == "apply_patch":
                self.patches.update(texts(str(payload["input"])))
            case "event_msg", "item_completed" if payload["item"]["type"] == "CommandExecution":
                self._called.pop(payload["item"]["id"], None)
            case "response_item", "function_call_output":
                command = self._called.pop(payload["call_id"], None)
                result = _RESULT.search(payload["output"])
                if command is not None and result and int(result[1]):
                    return Refused(command, int(result[1]), result[2])
        return None
