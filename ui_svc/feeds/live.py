"""Handles requests over the browser's socket to view the list of runs, a run or a session."""

from collections.abc import Callable
from typing import Any, Final

from heddle import errors
from heddle.client import HeddleClient
from heddle.names import AttemptName, RunName
from ui_svc.feeds.attention_feed import AttentionFeed
from ui_svc.feeds.feed import Feed
from ui_svc.feeds.rooms import Rooms
from ui_svc.feeds.run_feeds import RunFeed, RunsFeed
from ui_svc.feeds.session_feed import SessionFeed
from ui_svc.views import View
from ui_svc.web import nicegui_parts

ALL_RUNS: Final = "runs"
ATTENTION: Final = "attention"


class Live:
    """The feeds of this process, one for each open page."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client
        self._rooms = Rooms()
        self._feeds: dict[str, Feed] = {}

    def register(self) -> None:
        """Registers the handlers of the browser's socket events."""
        nicegui_parts.on("heddle_look_at_attention", self._look_at_attention)
        nicegui_parts.on("heddle_look_at_runs", self._look_at_runs)
        nicegui_parts.on("heddle_look_at_run", self._look_at_run)
        nicegui_parts.on("heddle_look_at_session", self._look_at_session)
        nicegui_parts.on("heddle_look_away", self._look_away)
        nicegui_parts.on("heddle_hidden", self._set_hidden)

    async def close(self) -> None:
        """Ends all feeds."""
        for feed in self._feeds.values():
            await feed.stop()
        self._feeds.clear()

    async def _look_at_attention(self, socket: str, _: Any) -> View:
        return await self._join(socket, ATTENTION, lambda: AttentionFeed(self._client, self._rooms))

    async def _look_at_runs(self, socket: str, _: Any) -> View:
        return await self._join(socket, ALL_RUNS, lambda: RunsFeed(self._client, self._rooms))

    async def _look_at_run(self, socket: str, data: Any) -> View:
        try:
            name = RunName.parse(str(data["name"]))
        except errors.HeddleError as error:
            return {"failure": error.message}
        return await self._join(socket, str(name), lambda: RunFeed(self._client, self._rooms, name))

    async def _look_at_session(self, socket: str, data: Any) -> View:
        """Adds the viewer to a session's feed.

        `after` is the newest sequence that the browser read over HTTP.
        """
        try:
            name = AttemptName.parse(str(data["name"]))
        except errors.HeddleError as error:
            return {"failure": error.message}
        after = int(data["after"])
        return await self._join(
            socket, str(name), lambda: SessionFeed(self._client, self._rooms, name, after)
        )

    async def _look_away(self, socket: str, data: Any) -> None:
        await self._rooms.leave(socket, str(data["name"]))

    async def _set_hidden(self, socket: str, data: Any) -> None:
        self._rooms.set_hidden(socket, hidden=bool(data["hidden"]))

    async def _join(self, socket: str, room: str, make: Callable[[], Feed]) -> View:
        await self._rooms.enter(socket, room)
        feed = self._feeds.get(room)
        if feed is None or not feed.running:
            self._forget_ended()
            feed = self._feeds[room] = make()
            feed.start()
        return await feed.snapshot()

    def _forget_ended(self) -> None:
        self._feeds = {room: feed for room, feed in self._feeds.items() if feed.running}
