"""The feed of an open session: the agent's activity, live."""

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.files.retained_log import oldest_kept
from heddle.names import AttemptName
from ui_svc import views
from ui_svc.feeds.feed import Feed
from ui_svc.feeds.rooms import Rooms
from ui_svc.views import View


class SessionFeed(Feed):
    """Shares one WatchSession among all viewers of the session.

    Stores no history: a snapshot contains the sequence after which its frames continue,
    and a browser reads earlier events over HTTP.
    """

    def __init__(self, client: HeddleClient, rooms: Rooms, name: AttemptName, after: int) -> None:
        super().__init__(rooms, "heddle_session", str(name))
        self._client = client
        self._name = name
        self._read_to = after
        self._sent_to = after
        self._pending: list[View] = []
        self._ended = False
        self._told_ended = False
        self._answerable.set()

    async def _read_once(self) -> None:
        watch = self._client.watch_session(str(self._name), after=self._read_to, on_break=self._broke)
        try:
            async for response in watch:
                self._pending += [views.event(event) for event in response.events]
                self._read_to = max(self._read_to, response.resume_sequence)
                self._touch()
        except errors.HeddleError as error:
            if error.reason != pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE:
                raise
            # The start comes from a browser; an invalid one must not end the feed for other viewers.
            self._read_to = self._sent_to = (oldest_kept(error) or 1) - 1
            return
        self._ended = True
        self._touch()

    def _take_changes(self) -> View:
        if not self._pending and self._ended == self._told_ended:
            return {}
        changes = {
            "attempt": str(self._name),
            "after": self._sent_to,
            "last": self._read_to,
            "events": self._pending,
            "ended": self._ended,
        }
        self._pending = []
        self._sent_to = self._read_to
        self._told_ended = self._ended
        return changes

    def _content(self) -> View:
        return {"attempt": str(self._name), "after": self._sent_to, "ended": self._ended}
