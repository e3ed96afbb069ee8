"""What Claude runs in the background of its turn, and whether a turn is under way. Pure."""

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    ToolUseBlock,
)

from agent_svc.agents.claude.background_tasks import Tasks


class Background(Tasks):
    """Follows the messages of one session."""

    def __init__(self) -> None:
        super().__init__()
        # True from the first word of a turn to its result.
        self.in_turn = False

    def follow(self, message: Message) -> None:
        match message:
            case AssistantMessage():
                # What a sub-agent says is no turn of Claude's own.
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
