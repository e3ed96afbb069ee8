"""Formats a session's events as lines of its log, for the page and the downloaded file, and as JSON."""

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

# The speaker of each kind of event whose speaker is not Heddle.
_WHO: Final = {
    "tool_started": "tool",
    "tool_finished": "tool",
    "setup_finished": "setup",
    "check_finished": "check",
    "screenshot": "shot",
    "usage": "usage",
    "approval_requested": "agent",
}

# The speakers of entries about tool calls and their results.
_TOOL: Final = frozenset({"tool", "shot"})


class Entry(NamedTuple):
    """The line that one event adds to its session's log."""

    # info, tool, warning, error or system; the page filters by this level.
    level: str
    # out, err, says, thinks, operator, tool, …
    who: str
    # Empty for a piece of a text, which is in the event's own `text`.
    words: str


def entry(event: pb.Event) -> Entry | None:
    """Returns the log entry of an event; None for a kind that does not occur in a session's log."""
    kind = event.WhichOneof("payload")
    if kind is None or not OPTIONS[kind].session:
        return None
    if kind in TEXT:
        return Entry(*_text_from(event), "")
    who = _who(kind, event)
    return Entry(_level(kind, event, who), who, describe(event))


def lines(event: pb.Event) -> str:
    """Returns the event as whole lines "TIME WHO TEXT", in UTC; empty if it has no text."""
    found = entry(event)
    if found is None:
        return ""
    stamp = event.time.ToDatetime().isoformat(timespec="milliseconds") + "Z"
    # Only a newline ends a line, because an agent's output may contain other separators.
    each = _whole(found, event).rstrip("\n").split("\n")
    return "".join(f"{stamp} {found.who:8} {line}".rstrip() + "\n" for line in each)


def json_line(event: pb.Event) -> str:
    """Returns the event as protobuf's canonical JSON and a newline."""
    return MessageToJson(event, indent=None, ensure_ascii=False) + "\n"


def _text_from(event: pb.Event) -> tuple[str, str]:
    if event.HasField("output"):
        return _STREAMS.get(event.output.stream, ("info", "out"))
    return "info", _SPEAKERS.get(event.message.kind, "says")


# Outcomes of a session that is complete, or that the next attempt continues.
_NOT_FAILED: Final = frozenset(
    {pb.OUTCOME_SUCCEEDED, pb.OUTCOME_PARKED, pb.OUTCOME_RATE_LIMITED, pb.OUTCOME_INTERRUPTED}
)


def _who(kind: str, event: pb.Event) -> str:
    if kind == "approval_resolved" and event.actor.startswith("user"):
        return "operator"
    return _WHO.get(kind, "heddle")


def _level(kind: str, event: pb.Event, who: str) -> str:
    told = getattr(event, kind)
    if "ok" in told.DESCRIPTOR.fields_by_name:
        return "tool" if told.ok else "error"
    if kind == "session_finished":
        return "system" if told.outcome in _NOT_FAILED else "error"
    if OPTIONS[kind].warning or (kind == "background_work" and told.stopped):
        return "warning"
    return "tool" if who in _TOOL else "system"


def _whole(found: Entry, event: pb.Event) -> str:
    """Returns the entry's text together with the event's long text, if it has one."""
    if event.HasField("output"):
        return event.output.text
    if event.HasField("message"):
        return nested(event.message) + event.message.text
    if event.HasField("tool_finished"):
        return f"{found.words} {event.tool_finished.result}"
    if event.HasField("check_finished"):
        return f"{found.words}\n$ {event.check_finished.command}\n{event.check_finished.output}"
    return found.words
