"""Collects the pictures that an agent writes to its worktree as screenshots of its session.

Any agent can write a PNG, JPEG or WebP file to .heddle/screenshots/. A text file next to it
with the same stem contains the caption. Without one, the stem is the caption. Pictures that
browser tools write to .playwright-mcp/ are collected as well.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_svc.reports.image_header import dimensions, media_type
from agent_svc.text import clip, system
from heddle import pb

FOLDER: Final = ".heddle/screenshots"

FOLDERS: Final = (FOLDER, ".playwright-mcp")

MAX_BYTES: Final = 16 << 20

# A browser decodes a picture to four bytes per pixel, however small the file is.
MAX_PIXELS: Final = 64 << 20

MAX_CAPTION_BYTES: Final = 1 << 10

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})


@dataclass(frozen=True)
class Picture:
    """The state of a picture file at one moment."""

    path: Path
    modified: int
    size: int


class Screenshots:
    """Finds the pictures that are new in a worktree since the session began. Blocks on disk access.

    `store` stores the bytes and returns the artifact's name.
    """

    def __init__(self, worktree: Path, store: Callable[[bytes], str]) -> None:
        self._worktree = worktree
        self._store = store
        # The folder in which each artifact was first found.
        self._folders: dict[str, Path] = {}
        # Pictures of an earlier attempt do not belong to this session.
        self._seen = set(self._pictures())

    def collect(self, *, final: bool = False) -> list[pb.Event]:
        """Returns an event for each new picture. An incomplete picture waits for the next call.

        If a picture is too large, or with `final` still incomplete, the event is a system
        output that reports this.
        """
        events = []
        for picture in self._pictures():
            if picture not in self._seen and (taken := self._take(picture, final=final)) is not None:
                self._seen.add(picture)
                events += taken
        return events

    def _pictures(self) -> Iterator[Picture]:
        for name in FOLDERS:
            yield from self._pictures_in(self._worktree / name)

    def _pictures_in(self, folder: Path) -> Iterator[Picture]:
        # A link to a folder outside the worktree would let an agent publish files of this machine.
        try:
            if not folder.resolve(strict=True).is_relative_to(self._worktree.resolve()):
                return
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        if entries:
            _hide_from_git(folder)
        for entry in entries:
            path = Path(entry.path)
            if path.suffix.lower() in SUFFIXES:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield Picture(path, status.st_mtime_ns, status.st_size)

    def _take(self, picture: Picture, *, final: bool) -> list[pb.Event] | None:
        """Returns the events for a picture, or None if it must be checked again later."""
        name = picture.path.name
        if picture.size > MAX_BYTES:
            return [_left_out(f"{name} has {picture.size} bytes; at most {MAX_BYTES} are kept")]
        try:
            data = _read(picture.path)
        except OSError:
            return None
        kind = media_type(data)
        if not kind:
            return [_left_out(f"{name} is not a complete PNG, JPEG or WebP file")] if final else None
        width, height = dimensions(data)
        if not 0 < width * height <= MAX_PIXELS:
            return [_left_out(f"{name} has {width} by {height} pixels; 1 to {MAX_PIXELS} are shown")]
        artifact = self._store(data)
        # Browser tools write a file and also return the same picture, which the agent may save.
        if self._folders.setdefault(artifact, picture.path.parent) != picture.path.parent:
            return []
        screenshot = pb.Screenshot(
            artifact=artifact, media_type=kind, caption=_caption(picture.path), size_bytes=len(data)
        )
        return [pb.Event(screenshot=screenshot)]


def _hide_from_git(folder: Path) -> None:
    """Keeps pictures out of the agent's own commits."""
    ignore = folder / ".gitignore"
    if not ignore.is_symlink() and not ignore.exists():
        with suppress(OSError):
            ignore.write_text("*\n")


def _read(path: Path) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        # The file may have grown since it was listed.
        return opened.read(MAX_BYTES)


def _caption(path: Path) -> str:
    try:
        text = _read(path.with_suffix(".txt"))[:MAX_CAPTION_BYTES].decode(errors="replace").strip()
    except OSError:
        text = ""
    return clip(text or path.stem.replace("-", " ").replace("_", " "), MAX_CAPTION_BYTES)


def _left_out(why: str) -> pb.Event:
    return system(f"Screenshot left out: {why}.\n")
