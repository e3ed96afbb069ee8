"""One vocabulary for what agents do: how a tool is called, what it touches, of which kind it is. Pure."""

import json
import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from agent_svc.text import whole_characters
from heddle import agents, pb

# The tool with which agents report their plan; its input is a checklist.
PLAN_TOOL: Final = "TodoWrite"

# Every tool that is known, by what it does. A test with the real agents fails where one is missing.
KINDS: Final[Mapping[str, "pb.ToolKind.ValueType"]] = {
    **dict.fromkeys(("Read", "NotebookRead", "LS"), pb.TOOL_KIND_READ),
    **dict.fromkeys(("Grep", "Glob", "LSP"), pb.TOOL_KIND_SEARCH),
    **dict.fromkeys(("Write", "Edit", "MultiEdit", "NotebookEdit", "Delete", "Move"), pb.TOOL_KIND_EDIT),
    # A monitor's command and a workflow's agents run where no call named Bash is seen.
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

# By one of these an object says of which type the data in it are.
MEDIA_KEYS: Final = frozenset({"mimeType", "mime_type", "media_type", "mediaType"})

_MARKS: Final = {"completed": "x", "in_progress": ">"}

# The kinds that change nothing outside of the agent itself. Each call of a sub-agent is judged by itself.
HARMLESS: Final = frozenset(
    {pb.TOOL_KIND_READ, pb.TOOL_KIND_SEARCH, pb.TOOL_KIND_PLAN, pb.TOOL_KIND_DELEGATE}
)

# What a pattern calls a tool of this kind whatever its own name is.
FAMILIES: Final[Mapping["pb.ToolKind.ValueType", str]] = {
    pb.TOOL_KIND_READ: "Read",
    pb.TOOL_KIND_SEARCH: "Read",
    pb.TOOL_KIND_EDIT: "Edit",
    pb.TOOL_KIND_COMMAND: "Bash",
}


@cache
def obeyed() -> frozenset[str]:
    """Returns the names whose content git or an agent obeys: writing them is more than writing a file."""
    return frozenset({".git"}.union(*(kind.obeyed for kind in agents.kinds())))


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool, in the names that people see."""

    id: str
    # Bash, Read, Write, Edit, …
    name: str
    # The file relative to the worktree (absolute outside of it), the command, or the URL.
    target: str
    kind: "pb.ToolKind.ValueType"
    # For people to read.
    input: str
    # The id of the sub-agent's call that made it. Empty: the session's own agent did.
    parent: str = ""

    def __post_init__(self) -> None:
        # It is shown, matched and stored in places that do not allow a NUL.
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
        """Returns the event of its end. `seconds` is None if it was not measured."""
        done = pb.ToolFinished(tool_call_id=self.id, ok=ok, result=result)
        if seconds is not None:
            done.duration.FromMilliseconds(round(seconds * 1000))
        return pb.Event(tool_finished=done)

    @property
    def label(self) -> str:
        """What it is, in one line."""
        return f"{self.name} {self.target}".rstrip()

    @property
    def reads(self) -> bool:
        """True if the call changes nothing outside of the agent itself."""
        return self.kind in HARMLESS or (self.kind == pb.TOOL_KIND_OTHER and self.name in KINDS)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a plan's patterns find it: its own, and that of all tools that do the same."""
        family = FAMILIES.get(self.kind)
        return (self.name,) if family in {None, self.name} else (self.name, str(family))

    @property
    def writes_inside(self) -> bool:
        """True if it changes a file of the worktree that neither git nor an agent obeys."""
        if self.kind != pb.TOOL_KIND_EDIT or not self.target or self.target.startswith("/"):
            return False
        return obeyed().isdisjoint(part.lower() for part in Path(self.target).parts)


def relative_target(worktree: Path, path: str) -> str:
    """Returns `path` relative to the worktree; absolute if it is outside, links followed.

    What names no file at all, as a loop of links or a NUL, is absolute too: it needs a permission.
    """
    try:
        resolved, root = (worktree / path).resolve(), worktree.resolve()
        resolved.is_symlink()
    except (OSError, RuntimeError, ValueError):
        return os.path.normpath(worktree / path)
    if resolved.is_symlink():
        # It is a loop of links: from Python 3.13 on that is not an error.
        return str(resolved)
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)


def plan_told(call_id: str, steps: Iterable[tuple[str, str]]) -> list[pb.Event]:
    """Returns a plan as a call of the tool with which agents report theirs; see `checklist`."""
    call = ToolCall(call_id, PLAN_TOOL, "", pb.TOOL_KIND_PLAN, checklist(steps))
    return [call.started(), call.finished(ok=True, result="")]


def checklist(steps: Iterable[tuple[str, str]]) -> str:
    """Returns an agent's plan as lines "- [x] TEXT"; a step is its text and its status.

    Completed ones are marked "x", the one in progress ">", all others " ".
    """
    return "\n".join(f"- [{_MARKS.get(status, ' ')}] {' '.join(text.split())}" for text, status in steps)


def _without_data(value: Any) -> Any:
    """Returns `value` with pictures and the like, which agents send in base64, as what they are."""
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
    """Returns a tool's input or result as text: plain where it is text, else JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(_without_data(value), ensure_ascii=False, indent=2, default=str)
    except (ValueError, RecursionError) as error:
        return f"(cannot be shown: {error})"
