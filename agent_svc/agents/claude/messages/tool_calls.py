"""Translates Claude's tool calls to the common vocabulary. Pure."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent_svc.agents.base.tool_vocabulary import KINDS, ToolCall, checklist, readable, relative_target
from heddle import pb

# The input fields that name the target of a call. The first one present is used; files come first.
_FILES: Final = ("file_path", "notebook_path", "path", "filePath")
_WILD: Final = re.compile(r"[*?\[{]")
# Parts after a wildcard that may lead to any folder.
_LEAVING: Final = re.compile(r"[*?\[{].*/\.\.(?:/|$)|[{,](?:[/~]|\.\.)", re.DOTALL)
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
    """Returns the call of one tool_use block; `parent` is the call that started the sub-agent, if any."""
    path = _path(worktree, name, told)
    return ToolCall(
        id=call_id,
        name=name,
        target=path or next((text for field in _TEXTS if isinstance(text := told.get(field), str)), ""),
        kind=_kind(name, told),
        input=_input(name, told),
        parent=parent,
        paths=(path,) if path else (),
    )


def _kind(name: str, told: Mapping[str, Any]) -> "pb.ToolKind.ValueType":
    kind = KINDS.get(name, pb.TOOL_KIND_OTHER)
    if kind == pb.TOOL_KIND_DELEGATE and told.get("isolation"):
        # An isolated agent works in its own worktree or on its own machine, out of reach of the plan's rules.
        return pb.TOOL_KIND_NETWORK
    return kind


def _path(worktree: Path, name: str, told: Mapping[str, Any]) -> str:
    """Returns the file or folder that the call names; empty if it names none, or a pattern within the worktree."""
    given = next((path for field in _FILES if isinstance(path := told.get(field), str)), "")
    found = relative_target(worktree, given) if given else ""
    pattern = told.get("pattern")
    if name != "Glob" or not isinstance(pattern, str) or found.startswith("/"):
        return found
    if _LEAVING.search(pattern):
        return "/"
    # A glob may name another folder itself.
    searched = relative_target(worktree, f"{given}/{_fixed(pattern)}" if given else _fixed(pattern))
    absolute = relative_target(worktree, _fixed(pattern))
    return next((path for path in (searched, absolute) if path.startswith("/")), found)


def _fixed(pattern: str) -> str:
    """Returns the beginning of a glob without wildcards, up to a whole part."""
    fixed = _WILD.split(pattern, maxsplit=1)[0]
    return fixed if fixed == pattern else fixed.rpartition("/")[0] or ("/" if fixed.startswith("/") else ".")


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
