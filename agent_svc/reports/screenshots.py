"""Collects the pictures that an agent writes to its worktree as screenshots of its session.

Any agent can write a PNG, JPEG or WebP file to .heddle/screenshots/. A text file next to it
with the same stem contains the caption. Without one, the stem is the caption. Pictures that
browser tools write to .playwright-mcp/ are collected as well.
"""

import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from agent_svc.reports.image_header import dimensions, media_type
from agent_svc.text import clip, system
from heddle import pb
from heddle.files import beneath

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

    # Relative to the worktree.
    path: PurePosixPath
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
        self._folders: dict[str, PurePosixPath] = {}
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
            # A missing folder, or a link in its place: it would let an agent publish files of this machine.
            with suppress(OSError):
                yield from self._pictures_in(PurePosixPath(name))

    def _pictures_in(self, folder: PurePosixPath) -> list[Picture]:
        found = []
        with beneath.folder(self._worktree, folder) as opened:
            entries = beneath.entries(opened)
            for entry in entries:
                path = folder / entry.name
                if path.suffix.lower() in SUFFIXES:
                    with suppress(OSError):  # removed meanwhile
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            found.append(Picture(path, status.st_mtime_ns, status.st_size))
        if entries and all(entry.name != ".gitignore" for entry in entries):
            self._hide_from_git(folder)
        return found

    def _hide_from_git(self, folder: PurePosixPath) -> None:
        """Keeps pictures out of the agent's own commits."""
        with suppress(OSError):
            beneath.create(self._worktree, folder / ".gitignore", b"*\n")

    def _take(self, picture: Picture, *, final: bool) -> list[pb.Event] | None:
        """Returns the events for a picture, or None if it must be checked again later."""
        name = picture.path.name
        if picture.size > MAX_BYTES:
            return [_left_out(f"{name} has {picture.size} bytes; at most {MAX_BYTES} are kept")]
        try:
            data = beneath.read(self._worktree, picture.path, MAX_BYTES)
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
            artifact=artifact, media_type=kind, caption=self._caption(picture.path), size_bytes=len(data)
        )
        return [pb.Event(screenshot=screenshot)]

    def _caption(self, path: PurePosixPath) -> str:
        try:
            said = beneath.read(self._worktree, path.with_suffix(".txt"), MAX_CAPTION_BYTES)
        except OSError:
            said = b""
        text = said.decode(errors="replace").strip() or path.stem.replace("-", " ").replace("_", " ")
        return clip(text, MAX_CAPTION_BYTES)


def _left_out(why: str) -> pb.Event:
    return system(f"Screenshot left out: {why}.\n")
