"""Text that any terminal can show and that none obeys: titles, prompts and paths are not trusted.

Characters that would move the cursor, ring, recolour or turn text around are shown as
escapes. A stream that cannot encode a character gets a substitute, never a traceback.
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

# What Heddle itself prints beyond ASCII.
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
    r"""Returns `text` with an escape, as `\x1b` or `\u202e`, for each character that a terminal would obey."""
    return _OBEYED.sub(lambda found: _escape(found.group()), text)


def visible_json(text: str) -> str:
    """Returns JSON with the same meaning, in which nothing is left that a terminal would obey."""
    return _OBEYED.sub(
        lambda found: json.dumps(found.group())[1:-1] if ord(found.group()) > 31 else found.group(), text
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class SafeText(Text):
    """Text that is visible before it is measured, so that a table has room for it."""

    def __init__(self, text: str = "", **options: Any) -> None:
        super().__init__(visible(text), **options)


class SafeConsole(Console):
    """A console whose text commands no terminal; its own colours and cursor moves stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


def takes_utf8(stream: Any) -> bool:
    """Says whether a stream can encode every character."""
    try:
        return codecs.lookup(stream.encoding or "").name.startswith("utf")
    except (LookupError, AttributeError):
        return False


def prepare(*streams: Any) -> None:
    """Lets text streams take whatever they cannot encode, as a substitute or an escape. Idempotent."""
    codecs.register_error(_ERRORS, _substituted)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            # One whose file was exchanged under it cannot be changed any more.
            with suppress(OSError):
                stream.reconfigure(errors=_ERRORS)


def _substituted(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(each) or _escape(each) for each in failed), error.end
