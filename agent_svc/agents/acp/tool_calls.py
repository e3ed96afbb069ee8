"""Translates a tool call of an ACP agent to Heddle's vocabulary: name, target, kind, input, result. Pure."""

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from acp.schema import (
    ContentToolCallContent,
    FileEditToolCallContent,
    ImageContentBlock,
    TerminalToolCallContent,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
)

from agent_svc.agents.base import tool_vocabulary
from agent_svc.agents.base.tool_vocabulary import ToolCall, obeyed, readable, relative_target
from heddle import pb

# ACP names kinds of tools, not tools. These are the names that agents usually use.
NAMES: Final = {
    "read": "Read",
    "edit": "Edit",
    "delete": "Delete",
    "move": "Move",
    "search": "Grep",
    "execute": "Bash",
    "fetch": "WebFetch",
    "think": "Think",
    "switch_mode": "SwitchMode",
}

KINDS: Final["Mapping[str, pb.ToolKind.ValueType]"] = {
    "read": pb.TOOL_KIND_READ,
    "edit": pb.TOOL_KIND_EDIT,
    "delete": pb.TOOL_KIND_EDIT,
    "move": pb.TOOL_KIND_EDIT,
    "search": pb.TOOL_KIND_SEARCH,
    "execute": pb.TOOL_KIND_COMMAND,
    "fetch": pb.TOOL_KIND_NETWORK,
}

# The field with which Claude Code's adapter names the call that started the sub-agent.
PARENT: Final = "parentToolUseId"

# The input fields in which agents name the target of a call.
PATH_KEYS: Final = ("file_path", "filePath", "filepath", "abs_path", "path", "notebook_path")
PATTERN_KEYS: Final = ("pattern", "query")

# A shell that only wraps the command: ["bash", "-lc", COMMAND].
SHELL_FLAGS: Final = frozenset({"-c", "-lc"})

FENCE: Final = re.compile(r"\A```[^\n`]*\n(.*?)\n?```\s*\Z", re.DOTALL)


class Call:
    """What is known about one tool call so far. Agents send it piece by piece; later values win."""

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.status = "pending"
        self._title = ""
        self._kind = "other"
        self._own_name = ""
        # The call that started the sub-agent. Empty: the agent itself made this call, or does not say.
        self._parent = ""
        self._input: Any = None
        self._output: Any = None
        self._content: Sequence[Any] = ()
        self._locations: tuple[str, ...] = ()
        # The last diffs sent. Some agents later replace them with a result.
        self._diffs: list[FileEditToolCallContent] = []

    def learn(self, said: ToolCallStart | ToolCallProgress | ToolCallUpdate) -> None:
        """Records new information from the agent about the call."""
        self.status = said.status or self.status
        self._title = said.title or self._title
        self._kind = said.kind or self._kind
        self._own_name = of_claude(said.field_meta, "toolName") or self._own_name
        self._parent = of_claude(said.field_meta, PARENT) or self._parent
        self._input = said.raw_input or self._input
        self._output = said.raw_output if said.raw_output is not None else self._output
        if said.content is not None:
            self._content = said.content
            self._diffs = [
                part for part in said.content if isinstance(part, FileEditToolCallContent)
            ] or self._diffs
        if said.locations:
            self._locations = tuple(location.path for location in said.locations)

    def names_its_tool(self) -> bool:
        """Returns whether the agent has reported the tool's own name, which only Claude Code's adapter does."""
        return bool(self._own_name)

    def ended(self) -> bool:
        return self.status in {"completed", "failed"}

    def known(self) -> bool:
        """Returns whether enough is known to show the call: agents start a call before they know its input."""
        if self.status != "pending":
            return True
        if self._kind == "execute":
            return isinstance(self._input, dict) and "command" in self._input
        return bool(self._input or self._locations or self._diffs)

    def described(self, worktree: Path) -> ToolCall:
        """Returns the call in the vocabulary that all agents share."""
        target, shown = self._target(worktree), self._shown_input(worktree)
        paths = () if self._runs() or self._kind == "fetch" else self._relative_paths(worktree)
        return ToolCall(self.id, self._name(), target, self._does(), shown, self._parent, paths)

    def _does(self) -> "pb.ToolKind.ValueType":
        known = tool_vocabulary.KINDS.get(self._own_name)
        return KINDS.get(self._kind, pb.TOOL_KIND_OTHER) if known is None else known

    def _runs(self) -> bool:
        return self._does() == pb.TOOL_KIND_COMMAND

    def _name(self) -> str:
        if self._own_name:
            return self._own_name
        if self._kind == "edit" and self._is_new_text():
            return "Write"
        return NAMES.get(self._kind) or self._title or "Tool"

    def _target(self, worktree: Path) -> str:
        if self._runs():
            return self._command()
        if self._kind == "fetch":
            return self._field("url") or self._title
        if paths := self._relative_paths(worktree):
            # If there are several files, choose the one that most needs a permission.
            return next((path for path in paths if _delicate(path)), paths[0])
        return self._field(*PATTERN_KEYS) or (self._title if self._kind in NAMES else "")

    def _relative_paths(self, worktree: Path) -> tuple[str, ...]:
        return tuple(dict.fromkeys(relative_target(worktree, path) for path in self._paths()))

    def _paths(self) -> list[str]:
        named = [self._field(*PATH_KEYS), *(diff.path for diff in self._diffs), *self._locations]
        return list(dict.fromkeys(path for path in named if path))

    def terminals(self) -> list[str]:
        """Returns the ids of the terminals whose output belongs to the call."""
        return [part.terminal_id for part in self._content if isinstance(part, TerminalToolCallContent)]

    def pictures(self) -> list[ImageContentBlock]:
        """Returns the pictures in the call's result."""
        return [block for block in self._blocks() if isinstance(block, ImageContentBlock)]

    def _shown_input(self, worktree: Path) -> str:
        if self._diffs:
            return "\n".join(diff_text(diff, worktree) for diff in self._diffs)
        if self._runs():
            return self._command()
        if self._kind == "edit" and self._is_new_text():
            return self._field("content")
        return readable(self._input) if self._input else ""

    def _is_new_text(self) -> bool:
        """Returns whether the call writes the whole content of a file."""
        if self._diffs:
            return all(diff.old_text is None for diff in self._diffs)
        return bool(self._field("content"))

    def result(self) -> str:
        """Returns the call's result in readable form."""
        texts = [
            block.text if isinstance(block, TextContentBlock) else f"[{block.type}]"
            for block in self._blocks()
        ]
        if texts:
            return unfenced("\n".join(texts))
        return "" if self._output is None else readable(_output_text(self._output))

    def _blocks(self) -> list[Any]:
        return [part.content for part in self._content if isinstance(part, ContentToolCallContent)]

    def _command(self) -> str:
        command = self._input.get("command") if isinstance(self._input, dict) else None
        if isinstance(command, str) and command:
            return command
        if isinstance(command, list) and command:
            words = [str(word) for word in command]
            return words[2] if len(words) == 3 and words[1] in SHELL_FLAGS else shlex.join(words)
        return self._field("script", "scriptPath", "code") or self._title.strip("`")

    def _field(self, *keys: str) -> str:
        if not isinstance(self._input, dict):
            return ""
        return next((self._input[key] for key in keys if isinstance(self._input.get(key), str)), "")


def diff_text(diff: FileEditToolCallContent, worktree: Path) -> str:
    """Returns the text of a new file, or a unified diff for an existing file."""
    if diff.old_text is None:
        return diff.new_text
    name = relative_target(worktree, diff.path)
    lines = difflib.unified_diff(
        diff.old_text.splitlines(), diff.new_text.splitlines(), name, name, lineterm=""
    )
    return "\n".join(lines)


def unfenced(text: str) -> str:
    """Returns `text` without its fence if it is a single Markdown code block, else unchanged."""
    found = FENCE.match(text)
    return found[1] if found and "\n```" not in found[1] else text


def _delicate(path: str) -> bool:
    return path.startswith("/") or not obeyed().isdisjoint(Path(path.lower()).parts)


def of_claude(meta: Mapping[str, Any] | None, key: str) -> str:
    """Returns a field that only Claude Code's adapter adds, such as the tool's name; empty if it is absent."""
    said = (meta or {}).get("claudeCode")
    value = said.get(key) if isinstance(said, dict) else None
    return value if isinstance(value, str) else ""


def _output_text(output: object) -> object:
    if isinstance(output, dict):
        for key in ("output", "formatted_output", "aggregated_output", "stdout", "error"):
            if isinstance(output.get(key), str):
                return output[key]
    return output
