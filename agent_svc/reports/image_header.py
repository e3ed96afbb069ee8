"""Reads the type and size of a picture from its header and its end, without decoding it. Pure."""

import re
from typing import Final

# Markers of a JPEG frame header: marker, length, precision, then height and width.
_JPEG_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
# Markers without a length field.
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER: Final = re.compile(rb"\xff+([^\xff])", re.DOTALL)

# The most markers before the frame header; pictures have a few dozen.
_MOST_MARKERS: Final = 10_000


def media_type(data: bytes) -> str:
    """Returns the media type of a complete picture, or "" for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff") and data.rstrip(b"\0").endswith(b"\xff\xd9"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= int.from_bytes(data[4:8], "little") + 8:
        return "image/webp"
    return ""


def dimensions(data: bytes) -> tuple[int, int]:
    """Returns width and height in pixels, or (0, 0) if the header does not contain them."""
    match media_type(data):
        case "image/png" if data[12:16] == b"IHDR":
            return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        case "image/jpeg":
            return _jpeg(data)
        case "image/webp":
            return _webp(data)
        case _:
            return 0, 0


def _jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    for _ in range(_MOST_MARKERS):
        found = _MARKER.match(data, place)
        if found is None:
            break
        marker, place = found[1][0], found.end()
        if marker in _JPEG_FRAMES:
            return int.from_bytes(data[place + 5 : place + 7]), int.from_bytes(data[place + 3 : place + 5])
        if marker not in _JPEG_BARE:
            place += max(2, int.from_bytes(data[place : place + 2]))
    return 0, 0


def _webp(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = (int.from_bytes(data[place : place + 2], "little") for place in (26, 28))
            return width & 0x3FFF, height & 0x3FFF
        case _:
            return 0, 0
