"""Handles requests over the browser's socket to view the list of runs, a run or a session."""

import hashlib
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
from ui_svc.feeds.sight import cards_of
from ui_svc.views import View
from ui_svc.web import nicegui_parts

ALL_RUNS: Final = "runs"
ATTENTION: Final = "attention"


class Live:
    """The feeds of this process, one for each open page.

    Viewers who see all projects share feeds, which `client` reads. Others have feeds of their own, read with their own
    token: `token_of` returns it for a socket, or "" for one that sees everything, and `connect` a client with it.
    """

    def __init__(
        self,
        client: HeddleClient,
        connect: Callable[[str], HeddleClient],
        token_of: Callable[[str], str],
    ) -> None:
        self._client = client
        self._connect = connect
        self._token_of = token_of
        self._rooms = Rooms()
        # By audience.
        self._feeds: dict[str, Feed] = {}
        # The clients of limited viewers, by token.
        self._own: dict[str, HeddleClient] = {}

    def register(self) -> None:
        """Registers the handlers of the browser's socket events."""
        nicegui_parts.on("heddle_look_at_attention", self._look_at_attention)
        nicegui_parts.on("heddle_look_at_runs", self._look_at_runs)
        nicegui_parts.on("heddle_look_at_run", self._look_at_run)
        nicegui_parts.on("heddle_look_at_session", self._look_at_session)
        nicegui_parts.on("heddle_see", self._see)
        nicegui_parts.on("heddle_look_away", self._look_away)
        nicegui_parts.on("heddle_hidden", self._set_hidden)

    async def close(self) -> None:
        """Ends all feeds."""
        for feed in self._feeds.values():
            await feed.stop()
        self._feeds.clear()
        for client in self._own.values():
            await client.close()
        self._own.clear()

    async def _look_at_attention(self, socket: str, _: Any) -> View:
        return await self._join(socket, ATTENTION, lambda client: AttentionFeed(client, self._rooms))

    async def _look_at_runs(self, socket: str, _: Any) -> View:
        return await self._join(socket, ALL_RUNS, lambda client: RunsFeed(client, self._rooms))

    async def _look_at_run(self, socket: str, data: Any) -> View:
        try:
            name = RunName.parse(str(data["name"]))
        except errors.HeddleError as error:
            return {"failure": error.message}
        cards = cards_of(data.get("cards"))
        return await self._join(socket, str(name), lambda client: RunFeed(client, self._rooms, name), cards)

    async def _see(self, socket: str, data: Any) -> None:
        """Notes which cards of a run's board a viewer has in sight."""
        feed = self._feeds.get(_audience(str(data["name"]), self._token_of(socket)))
        _see(feed, socket, cards_of(data.get("cards")))

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
            socket, str(name), lambda client: SessionFeed(client, self._rooms, name, after)
        )

    async def _look_away(self, socket: str, data: Any) -> None:
        await self._rooms.leave(socket, _audience(str(data["name"]), self._token_of(socket)))

    async def _set_hidden(self, socket: str, data: Any) -> None:
        self._rooms.set_hidden(socket, hidden=bool(data["hidden"]))

    async def _join(
        self,
        socket: str,
        room: str,
        make: Callable[[HeddleClient], Feed],
        cards: list[str] | None = None,
    ) -> View:
        token = self._token_of(socket)
        audience = _audience(room, token)
        await self._rooms.enter(socket, audience)
        feed = self._feeds.get(audience)
        if feed is None or not feed.running:
            feed = make(self._client_of(token))
            feed.audience = audience
            feed.start()
            idle = self._forget_ended(keep=token)
            self._feeds[audience] = feed
        else:
            idle = []
        # Before anything is awaited: the browser may say something newer meanwhile.
        _see(feed, socket, cards)
        for client in idle:
            await client.close()
        return await feed.snapshot()

    def _client_of(self, token: str) -> HeddleClient:
        if not token:
            return self._client
        if token not in self._own:
            self._own[token] = self._connect(token)
        return self._own[token]

    def _forget_ended(self, keep: str) -> list[HeddleClient]:
        """Removes feeds that have ended; returns the clients, except that of the token `keep`, that no feed uses."""
        self._feeds = {audience: feed for audience, feed in self._feeds.items() if feed.running}
        used = {*(audience.partition(_OF)[2] for audience in self._feeds), _digest(keep)}
        return [self._own.pop(token) for token in list(self._own) if _digest(token) not in used]


# Separates the room from the digest of a token. No name contains it.
_OF: Final = "@"


def _see(feed: Feed | None, socket: str, cards: list[str] | None) -> None:
    if cards is not None and isinstance(feed, RunFeed):
        feed.see(socket, cards)


def _audience(room: str, token: str) -> str:
    """Returns the room of the socket's library in which the viewers of one feed are."""
    return f"{room}{_OF}{_digest(token)}" if token else room


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
