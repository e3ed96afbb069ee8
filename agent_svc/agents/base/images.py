"""Stores pictures from the results of an agent's tools as screenshots of its session."""

import base64
import binascii
import hashlib
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from agent_svc.reports.screenshots import FOLDER, MAX_BYTES, MAX_CAPTION_BYTES
from agent_svc.text import clip
from heddle.files import beneath

SUFFIXES: Final = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


class Picture(NamedTuple):
    """A picture in the form in which agents send it."""

    media_type: str
    # In base64.
    data: str
    # The text that is shown next to the picture.
    caption: str


def keep(worktree: Path, picture: Picture) -> str:
    """Stores a picture in the screenshot folder of the worktree; stores identical pictures once.

    Returns why the picture was not stored; empty if it was.
    """
    suffix = SUFFIXES.get(picture.media_type)
    if suffix is None:
        return f"pictures of the type {clip(picture.media_type, 80)!r} are not kept"
    too_large = f"it has more than {MAX_BYTES >> 20} MiB"
    # Four characters encode up to three bytes: the last four may encode one or two.
    if len(picture.data) // 4 * 3 - 2 > MAX_BYTES:
        return too_large
    try:
        data = base64.b64decode(picture.data, validate=True)
    except (binascii.Error, ValueError):
        return "it is not valid base64"
    if len(data) > MAX_BYTES:
        return too_large
    path = PurePosixPath(FOLDER, f"{hashlib.sha256(data).hexdigest()[:16]}{suffix}")
    caption = clip(picture.caption, MAX_CAPTION_BYTES)
    try:
        # Write the picture last: readers take it as soon as it exists.
        beneath.create(worktree, path.with_suffix(".txt"), caption.encode(errors="replace"))
        beneath.create(worktree, path, data)
    except OSError as error:
        return f"it cannot be written: {error.strerror}"
    return ""
