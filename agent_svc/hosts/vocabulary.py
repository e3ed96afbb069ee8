"""One vocabulary for what agents do: how a tool is called, what it touches, of which kind it is. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heddle import pb

KINDS: Final[Mapping[str, "pb.ToolKind.ValueType"]] = {
    "Read": pb.TOOL_KIND_READ,
    "NotebookRead": pb.TOOL_KIND_READ,
    "LS": pb.TOOL_KIND_READ,
    "Write": pb.TOOL_KIND_EDIT,
    "Edit": pb.TOOL_KIND_EDIT,
    "MultiEdit": pb.TOOL_KIND_EDIT,
    "NotebookEdit": pb.TOOL_KIND_EDIT,
    "Bash": pb.TOOL_KIND_COMMAND,
    "Grep": pb.TOOL_KIND_SEARCH,
    "Glob": pb.TOOL_KIND_SEARCH,
}

# The tool by which agents tell what they plan to do; its input is a checklist.
PLAN_TOOL: Final = "TodoWrite"

_MARKS: Final = {"completed": "x", "in_progress": ">"}

# Calls that change nothing outside of the agent itself.
HARMLESS: Final = frozenset({PLAN_TOOL, "TaskOutput", "BashOutput", "ToolSearch", "Skill"})

# Their content is obeyed by git or by agents: writing them is more than writing a file.
OBEYED: Final = frozenset({".git", ".claude", ".codex", ".mcp.json", "opencode.json"})


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

    def started(self) -> pb.Event:
        return pb.Event(
            tool_started=pb.ToolStarted(
                tool_call_id=self.id, name=self.name, target=self.target, kind=self.kind, input=self.input
            )
        )

    def finished(self, *, ok: bool, result: str, seconds: float | None = None) -> pb.Event:
        """Returns the event of its end. `seconds` is None where nobody measured it."""
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
        """True where the call changes nothing."""
        return self.kind in {pb.TOOL_KIND_READ, pb.TOOL_KIND_SEARCH} or self.name in HARMLESS

    @property
    def writes_inside(self) -> bool:
        """True where it changes a file of the worktree that neither git nor an agent obeys."""
        if self.kind != pb.TOOL_KIND_EDIT or not self.target or self.target.startswith("/"):
            return False
        return OBEYED.isdisjoint(part.lower() for part in Path(self.target).parts)


def relative_target(worktree: Path, path: str) -> str:
    """Returns `path` relative to the worktree; absolute where it lies outside, links followed."""
    resolved, root = (worktree / path).resolve(), worktree.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)


def checklist(steps: Iterable[tuple[str, str]]) -> str:
    """Returns an agent's plan as lines "- [x] TEXT"; a step is its text and its status.

    Completed ones are marked "x", the one in progress ">", all others " ".
    """
    return "\n".join(f"- [{_MARKS.get(status, ' ')}] {' '.join(text.split())}" for text, status in steps)


def readable(value: Any) -> str:
    """Returns a tool's input or result as text: plain where it is text, else JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
