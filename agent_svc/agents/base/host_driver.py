"""Starts a host, reads its lines (protocol.py), and applies the size limits of a session."""

import sys
from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from agent_svc.agents.base import background_work, protocol
from agent_svc.agents.base.driver import Launch
from agent_svc.text import TextStream, clip, pieces
from heddle import pb
from heddle.events import kinds

# A longer line cannot be an event; it becomes output.
MAX_LINE_BYTES: Final = 1 << 20

# The maximum size of a tool's input or result.
MAX_DETAIL_BYTES: Final = 64 << 10

# The fields that contain a tool's input or result.
DETAILS: Final = frozenset({"input", "result"})

# The maximum size of a name, target, question or caption.
MAX_LABEL_BYTES: Final = 4 << 10


def host_launch(module: str, request: pb.StartSessionRequest, resume: str) -> Launch:
    """Returns how to start the host `python -m MODULE`; a driver adds what is particular to its agent."""
    return Launch(
        # -E -P: neither a variable of the project nor a module in the worktree may replace a module of Heddle's.
        arguments=(sys.executable, "-E", "-P", "-m", module),
        stdin=protocol.opening(request, resume),
        controlled=True,
    )


class HostTranslator:
    """Translates a host's standard output to events, line by line."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._greeted = False
        self._out = TextStream(pb.OUTPUT_STREAM_STDOUT)
        self._err = TextStream(pb.OUTPUT_STREAM_STDERR)
        self.finished: pb.SessionFinished | None = None
        self.agent_session_id = ""
        self.closing: int | None = None

    def stdout(self, data: bytes) -> list[pb.Event]:
        self._line += data
        *lines, rest = self._line.split(b"\n")
        self._line = rest
        events = [event for line in lines for event in self._take(bytes(line))]
        if len(self._line) > MAX_LINE_BYTES:
            events += self._out.feed(bytes(self._line))
            self._line.clear()
        return events

    def stderr(self, data: bytes) -> list[pb.Event]:
        return self._err.feed(data)

    def end(self) -> list[pb.Event]:
        events = self._take(bytes(self._line)) if self._line else []
        self._line.clear()
        return [*events, *self._out.feed(b"", final=True), *self._err.feed(b"", final=True)]

    def _take(self, line: bytes) -> list[pb.Event]:
        if not self._greeted and protocol.is_greeting(line):
            self._greeted = True
            return []
        if (heard := protocol.parse_closing(line)) is not None:
            self.closing = heard
            return []
        return self._read(line)

    def _read(self, line: bytes) -> list[pb.Event]:
        try:
            event = protocol.parse_event(line)
        except ValueError:
            return self._out.feed(line + b"\n")
        payload = event.WhichOneof("payload")
        if payload == "session_finished":
            self.finished = event.session_finished
            return []
        if event.session_started.agent_session_id:
            self.agent_session_id = clip(event.session_started.agent_session_id, MAX_LABEL_BYTES)
            return []
        if payload not in kinds.HOST:
            return self._out.feed(line + b"\n")
        return limited(_believable(event))


def _believable(event: pb.Event) -> pb.Event:
    """Returns `event` without what only the operator or the provider can say.

    A host runs in the sandbox of its agent, whose commands can write to the host's output: a host can stop waiting for an
    answer, but not give one, and usage never becomes less.
    """
    match event.WhichOneof("payload"):
        case "approval_resolved":
            told = event.approval_resolved
            withdrawn = pb.ApprovalResolved(approval_id=told.approval_id, message=told.message)
            return pb.Event(approval_resolved=withdrawn)
        case "usage":
            for field, value in event.usage.ListFields():
                if isinstance(value, int) and value < 0:
                    setattr(event.usage, field.name, 0)
    return event


def limited(event: pb.Event) -> list[pb.Event]:
    """Returns `event` with only its payload, cut or split to the size limits of a session."""
    match event.WhichOneof("payload"):
        case "output":
            out = event.output
            stream = out.stream or pb.OUTPUT_STREAM_STDOUT
            return [
                pb.Event(output=pb.Output(stream=stream, text=piece, tool_call_id=out.tool_call_id))
                for piece in pieces(out.text)
            ]
        case "message":
            return _split_message(event.message)
        case "background_work":
            return [pb.Event(background_work=background_work.limited(event.background_work))]
        case payload:
            assert payload is not None  # noqa: S101 (the caller has looked)
            told = getattr(event, payload)
            _clip_texts(told)
            return [pb.Event(**{payload: told})]


def _clip_texts(told: Message) -> None:
    for field, value in told.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            limit = MAX_DETAIL_BYTES if field.name in DETAILS else MAX_LABEL_BYTES
            setattr(told, field.name, clip(value, limit))


def _split_message(message: pb.Message) -> list[pb.Event]:
    texts = list(pieces(message.text)) or [""]
    parent = clip(message.parent_tool_call_id, MAX_LABEL_BYTES)
    events = [
        pb.Event(message=pb.Message(kind=message.kind, text=text, parent_tool_call_id=parent))
        for text in texts
    ]
    events[-1].message.last = message.last
    return events
