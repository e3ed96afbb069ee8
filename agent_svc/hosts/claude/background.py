"""What Claude has running beside its turn, and whether it has come to rest. Pure."""

from typing import Final

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    ToolUseBlock,
)
from claude_agent_sdk.types import TaskStartedMessage

# Of tasks that are commands of a shell: a server among them never ends by itself.
_COMMANDS: Final = frozenset({"local_bash", "shell", "monitor", "local_monitor"})


# Seconds for which Claude may say nothing while it says that it owes another turn, and after the end of
# something in the background, of which it is told in another turn.
OWED: Final = 60.0
SETTLING: Final = 2.0


class Background:
    """Follows the messages of one session."""

    def __init__(self) -> None:
        # By tool_use_id: the command of a call.
        self._lines: dict[str, str] = {}
        # By task_id: what people read of a task.
        self._names: dict[str, str] = {}
        self._running: dict[str, str] = {}
        self._commands = 0
        self._ever = False
        # True from the first word of a turn to its result.
        self.in_turn = False
        # False while Claude says that it owes another turn.
        self._idle = True

    @property
    def names(self) -> list[str]:
        """What runs in the background, oldest first."""
        return [self._names.get(task, name) for task, name in self._running.items()]

    @property
    def only_commands(self) -> bool:
        """True where all of it are commands."""
        return self._commands == len(self._running)

    @property
    def patience(self) -> float:
        """Seconds without a word after which a Claude with nothing in the background begins no further turn."""
        if not self._idle:
            return OWED
        return SETTLING if self._ever else 0.0

    def take(self, message: Message) -> None:
        match message:
            case AssistantMessage(parent_tool_use_id=None):
                self.in_turn = True
                self._note_calls(message)
            case AssistantMessage():
                self._note_calls(message)
            case StreamEvent(parent_tool_use_id=None):
                self.in_turn = True
            case ResultMessage():
                self.in_turn = False
            case TaskStartedMessage():
                line = self._lines.get(message.tool_use_id or "")
                self._names[message.task_id] = line or message.description or message.task_id
            case SystemMessage(subtype="session_state_changed"):
                self._idle = message.data.get("state") != "running"
            case SystemMessage(subtype="background_tasks_changed"):
                self._take_list(message.data.get("tasks") or [])
            case _:
                pass

    def _note_calls(self, message: AssistantMessage) -> None:
        for block in message.content:
            if isinstance(block, ToolUseBlock) and isinstance(line := block.input.get("command"), str):
                self._lines[block.id] = line

    def _take_list(self, tasks: list[dict[str, object]]) -> None:
        """Takes the whole list of background tasks, as Claude tells it with each change."""
        self._running = {
            str(task.get("task_id", "")): str(task.get("description") or task.get("task_id", ""))
            for task in tasks
        }
        self._ever = self._ever or bool(tasks)
        self._commands = sum(task.get("task_type") in _COMMANDS for task in tasks)
