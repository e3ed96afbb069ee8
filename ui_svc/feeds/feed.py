"""A feed reads from the API once for all viewers of the same page, and sends frames to them.

A frame contains its feed's ID and a number. A browser that misses a frame, or finds
another feed after a restart, requests a snapshot.
"""

import asyncio
import contextlib
import uuid
from abc import ABC, abstractmethod
from typing import Final

import structlog

from heddle import errors
from heddle.client import ServerUnreachable
from ui_svc.feeds.rooms import Rooms
from ui_svc.views import View

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between two frames: while a tab is visible, and while all tabs are
# hidden or frames take long to create.
FRAME: Final = 0.1
SLOW_FRAME: Final = 0.25

# Seconds that a feed continues without viewers, so that a page reload can still use it.
LINGER: Final = 20.0

# Seconds that a joining browser waits for the first content.
FIRST_CONTENT: Final = 10.0


def pause(*, watched: bool, took: float) -> float:
    """Returns the seconds to wait after a frame that took `took` seconds to create and send."""
    return FRAME if watched and took < FRAME / 2 else SLOW_FRAME


class Feed(ABC):
    """Reads from the API in the background, and sends changes to a room."""

    # Seconds until an ended or rejected stream is read again.
    again = 2.0

    def __init__(self, rooms: Rooms, event: str, room: str) -> None:
        self.id = uuid.uuid4().hex
        self.room = room
        # Who receives the frames: the viewers of the room, or only those with one token.
        self.audience = room
        self._rooms = rooms
        self._event = event
        self._number = 0
        self._changed = asyncio.Event()
        # Set once there is content, or a reason for its absence.
        self._answerable = asyncio.Event()
        # Why the content may be out of date; empty if it is current.
        self._stale = ""
        self._told_trouble = ""
        # Why there is no content; empty if there is content.
        self._failure = ""
        self._tasks: list[asyncio.Task[None]] = []

    @abstractmethod
    async def _read_once(self) -> None:
        """Reads until the source ends; calls `_touch` after each change."""

    @abstractmethod
    def _take_changes(self) -> View:
        """Returns the content of the next frame; empty if nothing changed."""

    @abstractmethod
    def _content(self) -> View:
        """Returns the content of a snapshot."""

    def start(self) -> None:
        """Starts reading. The feed ends automatically after some time without viewers."""
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._send())]

    @property
    def running(self) -> bool:
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Ends the feed. Idempotent."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def snapshot(self) -> View:
        """Waits for the first content and returns all of it; later frames continue from it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_CONTENT):
                await self._answerable.wait()
        return {
            "room": self.room,
            "feed": self.id,
            "number": self._number,
            "stale": self._stale,
            "failure": self._failure,
            **self._content(),
        }

    def _touch(self) -> None:
        """Records that there are changes and that the source is available."""
        self._stale = ""
        self._failure = ""
        self._changed.set()

    def _broke(self, why: str) -> None:
        """Records that the source is not available."""
        self._stale = why
        self._answerable.set()
        self._changed.set()

    async def _read(self) -> None:
        while True:
            try:
                await self._read_once()
            except errors.HeddleError as error:
                self._failure = error.message
                self._answerable.set()
                self._changed.set()
            except ServerUnreachable as error:
                self._broke(str(error))
            await asyncio.sleep(self.again)

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        idle_since: float | None = None
        while True:
            # Does not use wait_for, which in Python 3.11 loses a cancellation that arrives together with the
            # event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER / 4):
                    await self._changed.wait()
            self._changed.clear()
            began = loop.time()
            await self._send_frame()
            if self._rooms.occupied(self.audience):
                idle_since = None
            else:
                idle_since = idle_since or began
                if began - idle_since > LINGER:
                    self._tasks[0].cancel()
                    return
            took = loop.time() - began
            await asyncio.sleep(pause(watched=self._rooms.watched(self.audience), took=took))

    async def _send_frame(self) -> None:
        changes = self._take_changes()
        trouble = f"{self._stale}\n{self._failure}"
        if not changes and trouble == self._told_trouble:
            return
        self._told_trouble = trouble
        self._number += 1
        frame = {
            "room": self.room,
            "feed": self.id,
            "number": self._number,
            "stale": self._stale,
            "failure": self._failure,
            **changes,
        }
        await self._rooms.emit(self._event, frame, self.audience)
