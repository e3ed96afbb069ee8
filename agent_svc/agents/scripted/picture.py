"""Draws the scripted agent's screenshots: a small window that shows a caption."""

import re
import struct
import textwrap
import zlib
from typing import Final

from agent_svc.agents.scripted import font

WIDTH: Final = 640
HEIGHT: Final = 360
SCALE: Final = 3
MARGIN: Final = 40
BAR: Final = 40

Colour = tuple[int, int, int]

PAGE: Final[Colour] = (247, 248, 250)
FRAME: Final[Colour] = (36, 41, 56)
INK: Final[Colour] = (36, 41, 56)
FAINT: Final[Colour] = (221, 225, 232)
LIGHTS: Final[tuple[Colour, ...]] = ((237, 106, 94), (245, 191, 79), (98, 197, 84))
ACCENTS: Final[tuple[Colour, ...]] = ((79, 110, 247), (16, 149, 128), (186, 85, 211), (217, 119, 6))


class Canvas:
    """A picture with 24-bit pixels."""

    def __init__(self, width: int, height: int, colour: Colour) -> None:
        self._width = width
        self._rows = [bytearray(bytes(colour) * width) for _ in range(height)]

    def fill(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """Paints a rectangle; clips it at the edges of the picture."""
        left, right = max(left, 0), min(left + width, self._width)
        for row in self._rows[max(top, 0) : top + height]:
            row[left * 3 : right * 3] = bytes(colour) * (right - left)

    def write(self, left: int, top: int, text: str, scale: int, colour: Colour) -> None:
        """Writes one line of text; each dot of the font is `scale` pixels wide and high."""
        for place, character in enumerate(text):
            begin = left + place * (font.WIDTH + 1) * scale
            for down, row in enumerate(font.dots(character)):
                for across in range(font.WIDTH):
                    if row >> (font.WIDTH - 1 - across) & 1:
                        self.fill(begin + across * scale, top + down * scale, scale, scale, colour)

    def png(self) -> bytes:
        """Returns the picture as a PNG file."""
        header = struct.pack(">IIBBBBB", self._width, len(self._rows), 8, 2, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in self._rows))
        chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def draw(caption: str) -> bytes:
    """Returns a PNG of a window with a title bar, the caption, and placeholder lines."""
    canvas = Canvas(WIDTH, HEIGHT, PAGE)
    accent = ACCENTS[zlib.crc32(caption.encode()) % len(ACCENTS)]
    canvas.fill(0, 0, WIDTH, BAR, FRAME)
    for place, light in enumerate(LIGHTS):
        canvas.fill(16 + place * 20, 14, 12, 12, light)
    canvas.fill(0, BAR, WIDTH, 6, accent)
    advance = (font.WIDTH + 1) * SCALE
    lines = textwrap.wrap(caption, (WIDTH - 2 * MARGIN) // advance)[:5] or ["(no caption)"]
    top = BAR + MARGIN
    for line in lines:
        canvas.write(MARGIN, top, line, SCALE, INK)
        top += (font.HEIGHT + 4) * SCALE
    canvas.fill(MARGIN, top + 8, 120, 28, accent)
    for place, width in enumerate((560, 480, 520, 300)):
        canvas.fill(MARGIN, top + 60 + place * 24, width, 10, FAINT)
    return canvas.png()


def file_stem(caption: str) -> str:
    """Returns `caption` as a short stem for a file name."""
    return re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")[:40].strip("-") or "screenshot"
