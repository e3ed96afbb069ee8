"""A session's events as lines of its log, on the page and in the downloaded file, and as JSON."""

from typing import Final, NamedTuple

from google.protobuf.json_format import MessageToJson

from heddle import pb
from heddle.events.kinds import OPTIONS, TEXT
from heddle.events.words import describe, nested

# Level and speaker of raw output.
_STREAMS: Final = {
    pb.OUTPUT_STREAM_STDOUT: ("info", "out"),
    pb.OUTPUT_STREAM_STDERR: ("warning", "err"),
    pb.OUTPUT_STREAM_SYSTEM: ("system", "heddle"),
}

_SPEAKERS: Final = {
    pb.MESSAGE_KIND_TEXT: "says",
    pb.MESSAGE_KIND_THINKING: "thinks",
    pb.MESSAGE_KIND_OPERATOR: "operator",
}

# Who speaks where it is not Heddle.
_WHO: Final = {
    "tool_started": "tool",
    "tool_finished": "tool",
    "setup_finished": "setup",
    "check_finished": "check",
    "screenshot": "shot",
    "usage": "usage",
    "approval_requested": "agent",
}

# Who speaks of a call of a tool, or of what one made.
_TOOL: Final = frozenset({"tool", "shot"})


class Entry(NamedTuple):
    """What one event adds to the log of its session."""

    # info, tool, warning, error or system: what the page filters by.
    level: str
    # out, err, says, thinks, operator, tool, …
    who: str
    # Empty for a piece of a text, which the event's own `text` is.
    words: str


def entry(event: pb.Event) -> Entry | None:
    """Returns what the log shows of an event; None for a kind that no session's log holds."""
    kind = event.WhichOneof("payload")
    if kind is None or not OPTIONS[kind].session:
        return None
    if kind in TEXT:
        return Entry(*_text_from(event), "")
    who = _who(kind, event)
    return Entry(_level(kind, event, who), who, describe(event))


def lines(event: pb.Event) -> str:
    """Returns the event as whole lines "TIME WHO TEXT", in UTC; empty if it has nothing to read."""
    found = entry(event)
    if found is None:
        return ""
    stamp = event.time.ToDatetime().isoformat(timespec="milliseconds") + "Z"
    # Only a newline ends a line: what an agent prints may hold other separators.
    each = _whole(found, event).rstrip("\n").split("\n")
    return "".join(f"{stamp} {found.who:8} {line}".rstrip() + "\n" for line in each)


def json_line(event: pb.Event) -> str:
    """Returns the event as protobuf's canonical JSON and a newline."""
    return MessageToJson(event, indent=None, ensure_ascii=False) + "\n"


def _text_from(event: pb.Event) -> tuple[str, str]:
    if event.HasField("output"):
        return _STREAMS.get(event.output.stream, ("info", "out"))
    return "info", _SPEAKERS.get(event.message.kind, "says")


def _who(kind: str, event: pb.Event) -> str:
    if kind == "approval_resolved" and event.actor.startswith("user"):
        return "operator"
    return _WHO.get(kind, "heddle")


def _level(kind: str, event: pb.Event, who: str) -> str:
    told = getattr(event, kind)
    if "ok" in told.DESCRIPTOR.fields_by_name:
        return "tool" if told.ok else "error"
    if kind == "session_finished":
        return "system" if told.outcome == pb.OUTCOME_SUCCEEDED else "error"
    if OPTIONS[kind].warning or (kind == "background_work" and told.stopped):
        return "warning"
    return "tool" if who in _TOOL else "system"


def _whole(found: Entry, event: pb.Event) -> str:
    """Returns the words with the long text that belongs to them."""
    if event.HasField("output"):
        return event.output.text
    if event.HasField("message"):
        return nested(event.message) + event.message.text
    if event.HasField("tool_finished"):
        return f"{found.words} {event.tool_finished.result}"
    if event.HasField("check_finished"):
        return f"{found.words}\n$ {event.check_finished.command}\n{event.check_finished.output}"
    return found.words
