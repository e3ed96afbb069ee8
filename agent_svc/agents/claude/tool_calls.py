"""Claude's calls of tools in the common vocabulary. Pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent_svc.agents.base.tool_vocabulary import KINDS, ToolCall, checklist, readable, relative_target
from heddle import pb

# The inputs that say what a call touches, the first that is there. Files come first.
_FILES: Final = ("file_path", "notebook_path", "path")
_TEXTS: Final = (
    "command",
    "script",
    "code",
    "scriptPath",
    "url",
    "query",
    "pattern",
    "skill",
    "subject",
    "to",
    "description",
)


def tool_call(worktree: Path, call_id: str, name: str, told: Mapping[str, Any], parent: str = "") -> ToolCall:
    """Returns the call of one tool_use block; `parent` is the call of the sub-agent that made it."""
    return ToolCall(
        id=call_id,
        name=name,
        target=_target(worktree, told),
        kind=_kind(name, told),
        input=_input(name, told),
        parent=parent,
    )


def _kind(name: str, told: Mapping[str, Any]) -> "pb.ToolKind.ValueType":
    kind = KINDS.get(name, pb.TOOL_KIND_OTHER)
    if kind == pb.TOOL_KIND_DELEGATE and told.get("isolation"):
        # That one works in a worktree or on a machine of its own, where no plan's rule reaches.
        return pb.TOOL_KIND_NETWORK
    return kind


def _target(worktree: Path, told: Mapping[str, Any]) -> str:
    for field in _FILES:
        if isinstance(path := told.get(field), str):
            return relative_target(worktree, path)
    return next((text for field in _TEXTS if isinstance(text := told.get(field), str)), "")


def _input(name: str, told: Mapping[str, Any]) -> str:
    match name:
        case "Bash" | "Monitor" | "PowerShell":
            return str(told.get("command", ""))
        case "Write":
            return str(told.get("content", ""))
        case "Edit":
            return "\n".join((*_marked("- ", told.get("old_string")), *_marked("+ ", told.get("new_string"))))
        case "TodoWrite":
            return _plan(told)
        case _:
            return readable(told)


def _plan(told: Mapping[str, Any]) -> str:
    todos = told.get("todos")
    if not isinstance(todos, list) or not all(isinstance(todo, dict) for todo in todos):
        return readable(told)
    return checklist((str(todo.get("content", "")), str(todo.get("status", ""))) for todo in todos)


def _marked(mark: str, text: object) -> list[str]:
    return [f"{mark}{line}" for line in str(text or "").splitlines()]
