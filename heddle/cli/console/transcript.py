"""A session's log as continuous text, for `heddle logs`."""

from heddle import pb
from heddle.cli.console import event_lines, words
from heddle.events.kinds import TEXT
from heddle.events.words import nested


class Transcript:
    """Turns a session's events, in order, into text; joins the pieces of a message."""

    def __init__(self) -> None:
        self._open_line = False

    def text(self, event: pb.Event) -> str:
        """Returns the text that `event` adds."""
        kind = event.WhichOneof("payload")
        if kind in TEXT and event.message.kind != pb.MESSAGE_KIND_OPERATOR:
            text = words.plain(getattr(event, kind).text)
            if text and kind == "message" and not self._open_line:
                text = nested(event.message) + text
            if kind == "message" and event.message.last and not text.endswith("\n"):
                text += "\n" if text or self._open_line else ""
            self._open_line = not text.endswith("\n") if text else self._open_line
            return text
        before = "\n" if self._open_line else ""
        self._open_line = False
        return f"{before}[{event_lines.describe(event)}]\n"
