"""What Claude Code reports about its background tasks, directly or through its ACP adapter. Pure."""

from collections.abc import Mapping
from typing import Any, Final

# Of tasks that are commands of a shell: a server among them never ends by itself.
_COMMANDS: Final = frozenset({"local_bash", "shell", "monitor", "local_monitor"})

# It says whether another turn follows, as one does where something in the background has ended.
TELLING: Final = {"CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1"}

# The messages of type "system" that report them.
SUBTYPES: Final = ("session_state_changed", "background_tasks_changed", "task_started")

# Seconds for which Claude may say nothing while it says that it owes another turn, and after the end of
# something in the background, which it learns in another turn.
OWED: Final = 60.0
SETTLING: Final = 2.0


class Tasks:
    """Follows the system messages of one session."""

    def __init__(self) -> None:
        # By tool_use_id: the command of a call.
        self._lines: dict[str, str] = {}
        # By task_id: what people read of a task.
        self._names: dict[str, str] = {}
        self._running: dict[str, str] = {}
        self._commands = 0
        self._ever = False
        # False while Claude says that it owes another turn.
        self.idle = True

    @property
    def names(self) -> list[str]:
        """What runs in the background, oldest first."""
        return [self._names.get(task, name) for task, name in self._running.items()]

    @property
    def only_commands(self) -> bool:
        """True if all of it are commands."""
        return self._commands == len(self._running)

    @property
    def patience(self) -> float:
        """Seconds without a word after which a Claude with nothing in the background begins no further turn."""
        if not self.idle:
            return OWED
        return SETTLING if self._ever else 0.0

    def note_command(self, call_id: str, line: str) -> None:
        """Takes the command of a tool call, by which its task is named."""
        self._lines[call_id] = line

    def take(self, message: Mapping[str, Any]) -> None:
        """Takes a system message as Claude Code writes it; other messages have no such information."""
        match message.get("subtype"):
            case "task_started":
                task = str(message.get("task_id", ""))
                line = self._lines.get(str(message.get("tool_use_id", "")))
                self._names[task] = line or str(message.get("description") or task)
            case "session_state_changed":
                self.idle = message.get("state") != "running"
            case "background_tasks_changed":
                self._take_list(message.get("tasks") or [])
            case _:
                pass

    def _take_list(self, tasks: list[Mapping[str, Any]]) -> None:
        """Takes the whole list of background tasks, as Claude sends it with each change."""
        self._running = {
            str(task.get("task_id", "")): str(task.get("description") or task.get("task_id", ""))
            for task in tasks
        }
        self._ever = self._ever or bool(tasks)
        self._commands = sum(task.get("task_type") in _COMMANDS for task in tasks)
