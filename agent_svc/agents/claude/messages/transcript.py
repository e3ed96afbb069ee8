"""Translates Claude's messages to events. Pure, except for the clock that measures tool calls."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    RateLimitEvent,
    ServerToolResultBlock,
    ServerToolUseBlock,
    StreamEvent,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from agent_svc.agents.base.images import Picture
from agent_svc.agents.base.tool_vocabulary import ToolCall, readable
from agent_svc.agents.claude.messages import system_messages
from agent_svc.agents.claude.messages.plan_tasks import Tasks
from agent_svc.agents.claude.messages.rate_limits import RateLimit, rate_limit
from agent_svc.agents.claude.messages.tool_calls import tool_call
from agent_svc.text import system, whole_characters
from heddle import pb

# The kind of message by the type of a content block, and the text field by the type of a delta.
_KINDS: Final = {"text": pb.MESSAGE_KIND_TEXT, "thinking": pb.MESSAGE_KIND_THINKING}
_DELTAS: Final = {"text_delta": "text", "thinking_delta": "thinking"}

# The model of a message that Claude Code itself wrote, for example about a failed request. The result
# contains the same text.
_SYNTHETIC: Final = "<synthetic>"


class Transcript:
    """Translates messages of the SDK to events. `clock` returns seconds."""

    def __init__(self, worktree: Path, clock: Callable[[], float]) -> None:
        self._worktree = worktree
        self._clock = clock
        # Ids of messages whose text was already streamed in pieces.
        self._streamed: set[str] = set()
        # The kind of the block that is being streamed.
        self._kind: pb.MessageKind.ValueType | None = None
        # By id: each call that has not ended, and when it began.
        self._calls: dict[str, tuple[ToolCall, float]] = {}
        self._tasks = Tasks()
        # By id: the input of each call that changes the plan. The plan is reported after the call has ended.
        self._planning: dict[str, dict[str, Any]] = {}
        # The rate limit that Claude reported last. None: it reported none.
        self.limit: RateLimit | None = None

    def take(self, message: Message) -> list[pb.Event]:
        """Returns the events of one message; empty for a message that people do not need to see."""
        message = whole_characters(message)
        match message:
            case StreamEvent(parent_tool_use_id=None):
                return list(self._piece(message.event))
            case AssistantMessage():
                return list(self._said(message, message.parent_tool_use_id or ""))
            case UserMessage(content=list() as blocks):
                return [event for block in blocks for event in self._answered(block)]
            case SystemMessage(subtype, data):
                return [_note(text) for text in _of_system(subtype, data)]
            case RateLimitEvent():
                return self._limited(rate_limit(message.rate_limit_info.raw))
            case _:
                return []

    def _limited(self, limit: RateLimit | None) -> list[pb.Event]:
        if limit is None or limit == self.limit:
            return []
        self.limit = limit
        return [_note(f"{limit.said}.")] if limit.reached else []

    def pictures(self, message: Message) -> list[Picture]:
        """Returns the pictures in the tool results of `message`, if the calls have not ended yet.

        Call it before `take`, which ends the calls.
        """
        if not isinstance(message, UserMessage) or isinstance(message.content, str):
            return []
        return [
            Picture(
                str(source.get("media_type")),
                str(source.get("data")),
                self._calls[block.tool_use_id][0].label,
            )
            for block in message.content
            if isinstance(block, ToolResultBlock) and block.tool_use_id in self._calls
            for source in _image_sources(block.content)
        ]

    def end(self) -> list[pb.Event]:
        """Returns the end events of the message and calls that were open when Claude ended."""
        events = [_last(self._kind)] if self._kind is not None else []
        self._kind = None
        for call in list(self._calls):
            events += self._finish(call, ok=False, result="interrupted")
        return events

    def _piece(self, event: dict[str, Any]) -> Iterator[pb.Event]:
        match event["type"]:
            case "message_start":
                self._streamed.add(event["message"]["id"])
            case "content_block_start":
                self._kind = _KINDS.get(event["content_block"]["type"])
            case "content_block_delta" if self._kind is not None:
                delta = event["delta"]
                if text := delta.get(_DELTAS.get(delta["type"], "")):
                    yield pb.Event(message=pb.Message(kind=self._kind, text=text))
            case "content_block_stop" if self._kind is not None:
                yield _last(self._kind)
                self._kind = None

    def _said(self, message: AssistantMessage, parent: str) -> Iterator[pb.Event]:
        if message.model == _SYNTHETIC:
            return
        for block in message.content:
            match block:
                case TextBlock() if message.message_id not in self._streamed:
                    yield _last(pb.MESSAGE_KIND_TEXT, block.text, parent)
                case ThinkingBlock() if message.message_id not in self._streamed:
                    yield _last(pb.MESSAGE_KIND_THINKING, block.thinking, parent)
                case ToolUseBlock() | ServerToolUseBlock():
                    call = tool_call(self._worktree, block.id, block.name, block.input, parent)
                    self._calls[call.id] = (call, self._clock())
                    if self._tasks.changes(call.name):
                        self._planning[call.id] = block.input
                    else:
                        yield call.started()
                case ServerToolResultBlock():
                    yield from self._answered(block)

    def _answered(self, block: object) -> Iterator[pb.Event]:
        match block:
            case ToolResultBlock() if block.tool_use_id in self._calls:
                yield from self._finish(
                    block.tool_use_id, ok=not block.is_error, result=_result(block.content)
                )
            case ServerToolResultBlock() if block.tool_use_id in self._calls:
                yield from self._finish(block.tool_use_id, ok=True, result=readable(block.content))

    def _finish(self, call_id: str, *, ok: bool, result: str) -> list[pb.Event]:
        call, begun = self._calls.pop(call_id)
        finished = call.finished(ok=ok, result=result, seconds=self._clock() - begun)
        planned = self._planning.pop(call_id, None)
        if planned is None:
            return [finished]
        plan = self._tasks.take(call_id, call.name, planned, result) if ok else []
        return plan or [call.started(), finished]


def _result(content: str | list[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(map(_part, content))


def _part(part: object) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": str(kind)}:
            return f"[{kind}]"
        case _:
            return readable(part)


def _image_sources(content: str | list[Any] | None) -> list[dict[str, Any]]:
    parts = content if isinstance(content, list) else []
    return [
        source
        for part in parts
        if isinstance(part, dict) and part.get("type") == "image"
        for source in [part.get("source")]
        if isinstance(source, dict) and source.get("type") == "base64"
    ]


def _last(kind: "pb.MessageKind.ValueType", text: str = "", parent: str = "") -> pb.Event:
    return pb.Event(message=pb.Message(kind=kind, text=text, last=True, parent_tool_call_id=parent))


def _of_system(subtype: str, data: dict[str, Any]) -> Iterator[str]:
    match subtype:
        case system_messages.BEGUN:
            yield from system_messages.servers_not_there(data)
        case "api_retry":
            yield _retry(data)
        case system_messages.COMPACTED:
            yield system_messages.compacted(data)


def _retry(data: dict[str, Any]) -> str:
    status = data.get("error_status")
    answered = f"answered {status}" if status else "cannot be reached"
    seconds = (data.get("retry_delay_ms") or 0) / 1000
    return (
        f"The API {answered} ({data.get('error')});"
        f" try {data.get('attempt')} of {data.get('max_retries')} follows in {seconds:.1f} s."
    )


def _note(text: str) -> pb.Event:
    return system(f"{text}\n")
