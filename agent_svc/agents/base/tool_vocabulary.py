"""The common vocabulary for tool calls of all agents: a tool's name, its target, and its kind. Pure."""

import json
import os.path
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from agent_svc.text import whole_characters
from heddle import agents, pb

# The tool that agents use to report their plan. Its input is a checklist.
PLAN_TOOL: Final = "TodoWrite"

# The kind of every known tool. A test with the real agents fails if a tool is missing here.
KINDS: Final[Mapping[str, "pb.ToolKind.ValueType"]] = {
    **dict.fromkeys(("Read", "NotebookRead", "LS"), pb.TOOL_KIND_READ),
    **dict.fromkeys(("Grep", "Glob", "LSP"), pb.TOOL_KIND_SEARCH),
    **dict.fromkeys(("Write", "Edit", "MultiEdit", "NotebookEdit", "Delete", "Move"), pb.TOOL_KIND_EDIT),
    # A monitor's command and a workflow's agents run without a separate Bash call.
    **dict.fromkeys(("Bash", "PowerShell", "REPL", "Monitor", "Workflow"), pb.TOOL_KIND_COMMAND),
    **dict.fromkeys((PLAN_TOOL, "TaskCreate", "TaskUpdate", "TaskList", "TaskGet"), pb.TOOL_KIND_PLAN),
    **dict.fromkeys(("Agent", "Task"), pb.TOOL_KIND_DELEGATE),
    **dict.fromkeys(
        (
            "WebFetch",
            "WebSearch",
            "SendMessage",
            "SendUserFile",
            "SendUserMessage",
            "PushNotification",
            "RemoteTrigger",
            "Artifact",
            "DesignSync",
            "ReadMcpResourceTool",
        ),
        pb.TOOL_KIND_NETWORK,
    ),
    **dict.fromkeys(
        (
            "BashOutput",
            "KillShell",
            "ListAgents",
            "ListMcpResourcesTool",
            "ReportFindings",
            "Skill",
            "StructuredOutput",
            "TaskOutput",
            "TaskStop",
            "Think",
            "ToolSearch",
            "WaitForMcpServers",
        ),
        pb.TOOL_KIND_OTHER,
    ),
}

# The keys with which an object states the media type of its data.
MEDIA_KEYS: Final = frozenset({"mimeType", "mime_type", "media_type", "mediaType"})

_MARKS: Final = {"completed": "x", "in_progress": ">"}

# The kinds that change nothing outside the agent itself. Each call of a sub-agent is judged separately.
HARMLESS: Final = frozenset(
    {pb.TOOL_KIND_READ, pb.TOOL_KIND_SEARCH, pb.TOOL_KIND_PLAN, pb.TOOL_KIND_DELEGATE}
)

# The name that patterns use for all tools of a kind, whatever their own names are.
FAMILIES: Final[Mapping["pb.ToolKind.ValueType", str]] = {
    pb.TOOL_KIND_READ: "Read",
    pb.TOOL_KIND_SEARCH: "Read",
    pb.TOOL_KIND_EDIT: "Edit",
    pb.TOOL_KIND_COMMAND: "Bash",
}


@cache
def obeyed() -> frozenset[str]:
    """Returns the names of files and folders that git or an agent obeys: a write to them needs a permission."""
    return frozenset({".git"}.union(*(kind.obeyed for kind in agents.kinds())))


@dataclass(frozen=True)
class ToolCall:
    """One tool call, with the names that people see."""

    id: str
    # Bash, Read, Write, Edit, …
    name: str
    # The file relative to the worktree (absolute if outside), the command, or the URL.
    target: str
    kind: "pb.ToolKind.ValueType"
    # For people to read.
    input: str
    # The id of the call that started the sub-agent. Empty: the session's own agent made this call.
    parent: str = ""
    # All files and folders that the call names, in the form of `target`. Empty: none, or only `target`.
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # The target is shown, matched and stored in places that do not allow a NUL.
        object.__setattr__(self, "target", whole_characters(self.target).replace("\0", "\ufffd"))

    def started(self) -> pb.Event:
        return pb.Event(
            tool_started=pb.ToolStarted(
                tool_call_id=self.id,
                name=self.name,
                target=self.target,
                kind=self.kind,
                input=self.input,
                parent_tool_call_id=self.parent,
            )
        )

    def finished(self, *, ok: bool, result: str, seconds: float | None = None) -> pb.Event:
        """Returns the event of the call's end. `seconds` is None if the duration was not measured."""
        done = pb.ToolFinished(tool_call_id=self.id, ok=ok, result=result)
        if seconds is not None:
            done.duration.FromMilliseconds(round(seconds * 1000))
        return pb.Event(tool_finished=done)

    @property
    def label(self) -> str:
        """The tool's name and target in one line."""
        return f"{self.name} {self.target}".rstrip()

    @property
    def reads(self) -> bool:
        """True if the call changes nothing outside the agent itself."""
        return self.kind in HARMLESS or (self.kind == pb.TOOL_KIND_OTHER and self.name in KINDS)

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The absolute paths outside of the worktree that a call which reads or searches files names."""
        if self.kind not in {pb.TOOL_KIND_READ, pb.TOOL_KIND_SEARCH}:
            return ()
        return tuple(path for path in self.paths if path.startswith("/"))

    def split(self) -> "tuple[ToolCall, ...]":
        """Returns the calls that this one consists of: one for each file that it names."""
        return tuple(replace(self, target=path, paths=(path,)) for path in self.paths) or (self,)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a plan's patterns can match: the tool's own name, and the name for its kind."""
        family = FAMILIES.get(self.kind)
        return (self.name,) if family in {None, self.name} else (self.name, str(family))

    @property
    def writes_inside(self) -> bool:
        """True if the call changes a file in the worktree that neither git nor an agent obeys."""
        if self.kind != pb.TOOL_KIND_EDIT or not self.target or self.target.startswith("/"):
            return False
        return obeyed().isdisjoint(part.lower() for part in Path(self.target).parts)


def relative_target(worktree: Path, path: str) -> str:
    """Follows links and returns `path` relative to the worktree, or absolute if it is outside.

    Programs may read a path without its blanks, with `~` as the home folder, or with composed characters: it is
    outside if one of these is. A path that names no file, such as a loop of links or a path with a NUL, is also
    returned as absolute, so that it needs a permission.
    """
    targets = [_relative_target(worktree, reading) for reading in _readings(path)]
    return next((target for target in targets if target.startswith("/")), targets[0])


def _readings(path: str) -> list[str]:
    trimmed = path.strip()
    known = trimmed == "~" or trimmed.startswith("~/")
    expanded = os.path.expanduser(trimmed) if known else trimmed  # noqa: PTH111 (pathlib raises without a home)
    return list(dict.fromkeys((path, expanded, unicodedata.normalize("NFC", expanded))))


def _relative_target(worktree: Path, path: str) -> str:
    try:
        resolved, root = (worktree / path).resolve(), worktree.resolve()
        resolved.is_symlink()
    except (OSError, RuntimeError, ValueError):
        return os.path.normpath(worktree / path)
    if resolved.is_symlink():
        # The path is a loop of links. Since Python 3.13, `resolve` does not raise an error for it.
        return str(resolved)
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)


def plan_told(call_id: str, steps: Iterable[tuple[str, str]]) -> list[pb.Event]:
    """Returns a plan as a call of the tool that agents use to report plans; see `checklist`."""
    call = ToolCall(call_id, PLAN_TOOL, "", pb.TOOL_KIND_PLAN, checklist(steps))
    return [call.started(), call.finished(ok=True, result="")]


def checklist(steps: Iterable[tuple[str, str]]) -> str:
    """Returns an agent's plan as lines "- [x] TEXT"; each step is a pair of text and status.

    The mark is "x" for a completed step, ">" for a step in progress, and " " for all others.
    """
    return "\n".join(f"- [{_MARKS.get(status, ' ')}] {' '.join(text.split())}" for text, status in steps)


def _without_data(value: Any) -> Any:
    """Returns `value` with base64 data, such as pictures, replaced by its size."""
    match value:
        case {"data": str(data), **rest} if MEDIA_KEYS & rest.keys():
            return {**rest, "data": f"({len(data) * 3 // 4:,} bytes)"}
        case dict():
            return {key: _without_data(each) for key, each in value.items()}
        case list():
            return [_without_data(each) for each in value]
        case _:
            return value


def readable(value: Any) -> str:
    """Returns a tool's input or result as text: a string unchanged, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(_without_data(value), ensure_ascii=False, indent=2, default=str)
    except (ValueError, RecursionError) as error:
        return f"(cannot be shown: {error})"
