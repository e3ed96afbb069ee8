"""Tracks Claude's background tasks, and whether a turn is in progress. Pure."""

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    ToolUseBlock,
)

from agent_svc.agents.claude.messages.background_tasks import Tasks


class Background(Tasks):
    """Follows the messages of one session."""

    def __init__(self) -> None:
        super().__init__()
        # True from the first message of a turn to its result.
        self.in_turn = False

    def follow(self, message: Message) -> None:
        match message:
            case AssistantMessage():
                # A message of a sub-agent does not start a turn of Claude itself.
                self.in_turn = self.in_turn or message.parent_tool_use_id is None
                self._note_calls(message)
            case StreamEvent(parent_tool_use_id=None):
                self.in_turn = True
            case ResultMessage():
                self.in_turn = False
            case SystemMessage():
                self.take({**message.data, "subtype": message.subtype})
            case _:
                pass

    def _note_calls(self, message: AssistantMessage) -> None:
        for block in message.content:
            if isinstance(block, ToolUseBlock) and isinstance(line := block.input.get("command"), str):
                self.note_command(block.id, line)
