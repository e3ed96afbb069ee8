"""Reads Claude Code's reports about its background tasks, sent directly or through its ACP adapter. Pure."""

from collections.abc import Mapping
from typing import Any, Final

# The types of tasks that are shell commands. A command that is a server never ends on its own.
_COMMANDS: Final = frozenset({"local_bash", "shell", "monitor", "local_monitor"})

# The subtypes of "system" messages that report background tasks.
SUBTYPES: Final = ("session_state_changed", "background_tasks_changed", "task_started")

# Seconds that Claude may be silent while it reports that another turn follows, and after the end of a
# background task, which Claude notices in another turn.
OWED: Final = 60.0
SETTLING: Final = 2.0


class Tasks:
    """Follows the system messages of one session."""

    def __init__(self) -> None:
        # By tool_use_id: the command of a call.
        self._lines: dict[str, str] = {}
        # By task_id: the readable name of a task.
        self._names: dict[str, str] = {}
        self._running: dict[str, str] = {}
        self._commands = 0
        self._ever = False
        # False while Claude reports that another turn follows.
        self.idle = True

    @property
    def names(self) -> list[str]:
        """The names of the running background tasks, oldest first."""
        return [self._names.get(task, name) for task, name in self._running.items()]

    @property
    def only_commands(self) -> bool:
        """True if all background tasks are shell commands."""
        return self._commands == len(self._running)

    @property
    def patience(self) -> float:
        """Seconds of silence after which Claude, without background tasks, starts no further turn."""
        if not self.idle:
            return OWED
        return SETTLING if self._ever else 0.0

    def note_command(self, call_id: str, line: str) -> None:
        """Records the command of a tool call; it becomes the name of the call's task."""
        self._lines[call_id] = line

    def take(self, message: Mapping[str, Any]) -> None:
        """Processes a system message of Claude Code; ignores other messages."""
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
        """Processes the complete list of background tasks, which Claude sends after each change."""
        self._running = {
            str(task.get("task_id", "")): str(task.get("description") or task.get("task_id", ""))
            for task in tasks
        }
        self._ever = self._ever or bool(tasks)
        self._commands = sum(task.get("task_type") in _COMMANDS for task in tasks)
