"""How data that is read once reaches all viewers."""

import asyncio
from typing import Any

from heddle import errors
from heddle.client import ServerUnreachable
from ui_svc.feeds.feed import FRAME, SLOW_FRAME, Feed, pause
from ui_svc.feeds.rooms import Rooms
from ui_svc.views import View


class RoomsInMemory(Rooms):
    """Rooms that record sent frames and always have a viewer."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def occupied(self, room: str) -> bool:
        return True

    def watched(self, room: str) -> bool:
        return True

    async def emit(self, event: str, data: dict[str, Any], room: str | list[str]) -> None:
        await self.sent.put(data)


class Numbers(Feed):
    """Sends the given numbers and raises an exception that is among them."""

    again = 0.01

    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms, "numbers", "room")
        self.source: asyncio.Queue[int | Exception] = asyncio.Queue()
        self._new: list[int] = []

    async def _read_once(self) -> None:
        while True:
            item = await self.source.get()
            if isinstance(item, Exception):
                raise item
            self._new.append(item)
            self._answerable.set()
            self._touch()

    def _take_changes(self) -> View:
        taken, self._new = self._new, []
        return {"numbers": taken} if taken else {}

    def _content(self) -> View:
        return {}


async def test_frames_are_numbered_without_gaps() -> None:
    """A browser can detect a missed frame; changes between two frames are merged into one."""
    rooms = RoomsInMemory()
    feed = Numbers(rooms)
    for number in range(100):
        feed.source.put_nowait(number)
    feed.start()
    first = await rooms.sent.get()
    feed.source.put_nowait(100)
    second = await rooms.sent.get()
    await feed.stop()
    assert first["numbers"] == list(range(100))
    assert second["numbers"] == [100]
    assert (first["number"], second["number"]) == (1, 2)
    assert first["feed"] == second["feed"]


async def test_a_source_that_is_away_is_told_and_tried_again() -> None:
    """A frame gives the reason; the next data reports that the source is back."""
    rooms = RoomsInMemory()
    feed = Numbers(rooms)
    feed.start()
    feed.source.put_nowait(ServerUnreachable("no answer"))
    assert (await rooms.sent.get())["stale"] == "no answer"
    feed.source.put_nowait(1)
    frame = await rooms.sent.get()
    await feed.stop()
    assert (frame["stale"], frame["numbers"]) == ("", [1])


async def test_the_same_trouble_is_told_once() -> None:
    """A source that stays away sends no further frames, until the reason or the content changes."""
    rooms = RoomsInMemory()
    feed = Numbers(rooms)
    for reason in ("no answer", "no answer", "refused", "refused", ""):
        feed._stale = reason
        await feed._send_frame()
    assert [rooms.sent.get_nowait()["stale"] for _ in range(rooms.sent.qsize())] == [
        "no answer",
        "refused",
        "",
    ]


async def test_a_refusal_answers_who_waits_for_the_first_content() -> None:
    """The snapshot returns immediately with the reason why it is empty."""
    feed = Numbers(RoomsInMemory())
    feed.start()
    feed.source.put_nowait(errors.not_found("runs/x"))
    snapshot = await feed.snapshot()
    await feed.stop()
    assert snapshot["failure"] == "runs/x does not exist"


async def test_a_stopped_feed_leaves_no_task() -> None:
    """Stopping is idempotent and leaves no background task."""
    feed = Numbers(RoomsInMemory())
    feed.start()
    await feed.stop()
    await feed.stop()
    assert not feed.running


def test_frames_slow_down_for_hidden_tabs_and_under_load() -> None:
    """Ten per second for a visible tab, four if all are hidden or a frame is expensive."""
    assert pause(watched=True, took=0.001) == FRAME
    assert pause(watched=False, took=0.001) == SLOW_FRAME
    assert pause(watched=True, took=0.09) == SLOW_FRAME


async def test_who_joins_while_the_source_is_away_is_told_at_once() -> None:
    """A snapshot without content gives the reason immediately."""
    feed = Numbers(RoomsInMemory())
    feed.start()
    feed.source.put_nowait(ServerUnreachable("no answer"))
    snapshot = await feed.snapshot()
    await feed.stop()
    assert snapshot["stale"] == "no answer"
