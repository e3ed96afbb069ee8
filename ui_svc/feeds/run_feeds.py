"""The feeds for a run's board and for the list of runs."""

from collections.abc import Iterable
from typing import Final

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.files.retained_log import oldest_kept
from heddle.names import RunName
from ui_svc import views
from ui_svc.feeds.eta import Forecasts
from ui_svc.feeds.feed import Feed
from ui_svc.feeds.rooms import Rooms
from ui_svc.feeds.run_state import Board
from ui_svc.feeds.sight import Sight
from ui_svc.views import View

# The number of newest runs in the feed; a browser reads older runs over HTTP.
RUNS_SHOWN: Final = 200


class RunFeed(Feed):
    """Shares one WatchRun among all viewers of the run's board.

    Frames have what concerns everyone. Summaries of running sessions, which are most of the data, go to those who have
    the card in sight; these messages are not numbered, as the next one replaces what was lost.
    """

    def __init__(self, client: HeddleClient, rooms: Rooms, name: RunName) -> None:
        super().__init__(rooms, "heddle_run", str(name))
        self._client = client
        self._name = name
        self._board = Board(name)
        self._forecasts = Forecasts(client)
        self._sight = Sight()
        # The end of the log when this feed started; None until it is known.
        self._target: int | None = None

    async def _read_once(self) -> None:
        try:
            if self._target is None:
                self._target = (await self._client.get_run(str(self._name))).sequence
            watch = self._client.watch_run(str(self._name), after=self._board.sequence, on_break=self._broke)
            async for response in watch:
                self._board.apply(response)
                if response.HasField("run"):
                    self._board.take_forecast(await self._forecasts.of(response.run))
                self._touch()
                if self._caught_up():
                    self._answerable.set()
        except errors.HeddleError as error:
            if error.reason != pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE:
                raise
            # The beginning of the log is no longer kept, or it is a different log: start from scratch.
            self._board = Board(self._name, oldest_kept(error) or 1)

    def _caught_up(self) -> bool:
        """Returns whether past events have been replayed; they are not sent one by one."""
        return self._target is not None and self._board.sequence >= self._target

    def _take_changes(self) -> View:
        return self._board.take_changes() if self._caught_up() else {}

    def see(self, socket: str, tasks: Iterable[str]) -> None:
        """Notes the tasks whose cards a viewer has in sight, and sends the summaries of those that are new."""
        self._sight.see(socket, tasks)
        self._changed.set()

    async def _send_frame(self) -> None:
        await super()._send_frame()
        if not self._caught_up():
            return
        due = self._sight.take(self._rooms.sockets(self.audience), self._board.take_summaries())
        for tasks, sockets in due.items():
            summaries = self._board.summaries_of(tasks)
            if summaries:
                await self._rooms.emit(
                    "heddle_summaries", {"room": self.room, "summaries": summaries}, sockets
                )

    def _content(self) -> View:
        return self._board.snapshot()


class RunsFeed(Feed):
    """All active runs and the newest others, updated as the scheduler reports changes."""

    def __init__(self, client: HeddleClient, rooms: Rooms) -> None:
        super().__init__(rooms, "heddle_runs", "runs")
        self._client = client
        self._runs: dict[str, View] = {}
        self._changed_runs: set[str] = set()
        self._forecasts = Forecasts(client)

    async def _read_once(self) -> None:
        async for response in self._client.watch_runs(newest=RUNS_SHOWN, on_break=self._broke):
            for message in response.runs:
                await self._take(message)
            # The first answers together contain the initial list, which is shown once it is complete.
            if response.complete:
                self._answerable.set()
            self._touch()

    async def _take(self, message: pb.Run) -> None:
        view = views.listed_run(message) | {"forecast": await self._forecasts.of(message)}
        if self._runs.get(message.name) != view:
            self._runs[message.name] = view
            self._changed_runs.add(message.name)

    def _take_changes(self) -> View:
        if not self._answerable.is_set():
            return {}
        changed = [self._runs[name] for name in self._changed_runs]
        self._changed_runs.clear()
        return {"runs": changed} if changed else {}

    def _content(self) -> View:
        return {"runs": list(self._runs.values())}
