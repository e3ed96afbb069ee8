"""Reads the headers of loose objects, in the format that gitformat-pack(5) and git's own documentation describe."""

import re
import zlib
from pathlib import Path
from typing import Final

_HEADER: Final = re.compile(rb"(?:blob|tree|commit|tag) (\d+)\0")

# Bytes of a file, and of what they expand to, that contain any header.
_READ_BYTES: Final = 128
_HEADER_BYTES: Final = 32


def size(objects: Path, object_id: str) -> int | None:
    """Returns the bytes of an object in a folder of objects that git has just written; None if it is not a loose one there."""
    try:
        with (objects / object_id[:2] / object_id[2:]).open("rb") as file:
            begin = zlib.decompressobj().decompress(file.read(_READ_BYTES), _HEADER_BYTES)
    except (OSError, zlib.error):
        return None
    found = _HEADER.match(begin)
    return int(found[1]) if found else None
