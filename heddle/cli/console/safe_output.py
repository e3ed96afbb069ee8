"""Text that any terminal can show and that contains no control sequences: titles and paths are not trusted.

Characters that would move the cursor, ring the bell, change colors or reverse text are shown
as escapes. A stream that cannot encode a character gets a substitute, never a traceback.
"""

import codecs
import io
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_ERRORS: Final = "heddle.substitute"

# C0 but tab and line feed, DEL and C1, bidirectional marks and overrides, line separators, interlinear
# annotations, a byte order mark, lone surrogates, tags.
_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)

# The non-ASCII characters that Heddle itself prints.
_SUBSTITUTES: Final = {
    "✓": "+",
    "✗": "x",
    "…": "...",
    "·": "|",
    "•": "*",
    "⚡": "*",
    "→": "->",
    "←": "<-",
    "≥": ">=",
    "—": "-",
    "“": '"',
    "”": '"',
}


def visible(text: str) -> str:
    r"""Returns `text` with an escape such as `\x1b` or `\u202e` for each control character."""
    return _OBEYED.sub(lambda found: _escape(found.group()), text)


def visible_json(text: str) -> str:
    """Returns equivalent JSON without control characters."""
    return _OBEYED.sub(
        lambda found: json.dumps(found.group())[1:-1] if ord(found.group()) > 31 else found.group(), text
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class SafeText(Text):
    """Text that is escaped before it is measured, so that tables leave enough room for it."""

    def __init__(self, text: str = "", **options: Any) -> None:
        super().__init__(visible(text), **options)


class SafeConsole(Console):
    """A console that escapes control characters in text; its own colors and cursor moves are kept."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


def takes_utf8(stream: Any) -> bool:
    """Returns whether a stream can encode every character."""
    try:
        return codecs.lookup(stream.encoding or "").name.startswith("utf")
    except (LookupError, AttributeError):
        return False


def prepare(*streams: Any) -> None:
    """Makes text streams replace characters that they cannot encode by a substitute or an escape. Idempotent."""
    codecs.register_error(_ERRORS, _substituted)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            # Fails if the underlying file was replaced.
            with suppress(OSError):
                stream.reconfigure(errors=_ERRORS)


def _substituted(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(each) or _escape(each) for each in failed), error.end
