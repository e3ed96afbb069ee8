"""Builds Output events from the bytes that a program writes and from Heddle's own messages; splits and cuts text."""

import codecs
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Final, TypeVar, cast

from heddle import pb

# Longer text is split, so a line of 5 MB becomes many small events.
MAX_TEXT_BYTES: Final = 32 << 10


class TextStream:
    """Decodes one stream, also across chunk boundaries. Bytes that are not UTF-8 become U+FFFD."""

    def __init__(self, stream: "pb.OutputStream.ValueType", tool_call_id: str = "") -> None:
        self._stream = stream
        self._tool_call_id = tool_call_id
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, *, final: bool = False) -> list[pb.Event]:
        """Returns the text of `data`. With `final`, includes an incomplete last character."""
        return [
            pb.Event(output=pb.Output(stream=self._stream, text=piece, tool_call_id=self._tool_call_id))
            for piece in pieces(self._decoder.decode(data, final))
        ]


def system(text: str) -> pb.Event:
    """Returns a message from Heddle itself about a session."""
    return pb.Event(output=pb.Output(stream=pb.OUTPUT_STREAM_SYSTEM, text=text))


T = TypeVar("T")


def whole_characters(value: T) -> T:
    """Returns `value`, made of JSON values or dataclasses, with each lone surrogate replaced by U+FFFD.

    JSON may contain lone surrogates. UTF-8 cannot, so an event cannot either.
    """
    return cast("T", _whole(value))


def _whole(value: object) -> object:
    match value:
        case str():
            if value.isascii():
                return value
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case dict():
            return {_whole(key): _whole(each) for key, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            told = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
            return replace(value, **{name: _whole(each) for name, each in told.items()})
        case _:
            return value


def pieces(text: str) -> Iterator[str]:
    """Yields `text` in pieces of at most 32 KiB of UTF-8, split after a newline if the piece contains one."""
    # A character needs at most 4 bytes, but most need one, so try the long piece first.
    while text:
        size = MAX_TEXT_BYTES
        if len(text[:size].encode()) > MAX_TEXT_BYTES:
            size //= 4
        piece = text[:size]
        if len(text) > size and (newline := piece.rfind("\n")) >= 0:
            piece = piece[: newline + 1]
        yield piece
        text = text[len(piece) :]


def clip(text: str, limit: int) -> str:
    """Returns the beginning of `text`, at most `limit` bytes of UTF-8."""
    if len(text) * 4 <= limit:
        return text
    return text.encode()[:limit].decode(errors="ignore")


def tail(data: bytes, limit: int) -> str:
    """Returns the end of `data` as text of at most `limit` bytes of UTF-8."""
    return data[-limit:].decode(errors="replace").encode()[-limit:].decode(errors="ignore")
