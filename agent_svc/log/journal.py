"""The session's side of its log: adds the actor and the time to every event."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from agent_svc.log.event_log import EventLog
from agent_svc.log.recorder import Recorder
from agent_svc.log.text_limit import TextLimit
from heddle import pb
from heddle.names import AttemptName
from heddle.timing.clock import Clock

# The project's setup may use one part in this many of the limit, the agent the rest.
_SETUP_PART: Final = 8


class Journal:
    """Records the events of one session. `on_failure` is called when writing to the disk fails.

    `limit` is the maximum number of bytes of text to store. 0 means no limit.
    """

    def __init__(
        self,
        name: AttemptName,
        path: Path,
        clock: Clock,
        on_failure: Callable[[OSError], None],
        *,
        limit: int,
    ) -> None:
        self._name = name
        self._clock = clock
        self._setup_limit = limit // _SETUP_PART
        self._agent_limit = limit - self._setup_limit
        self._text = TextLimit(self._setup_limit)
        self._log = EventLog.open(path)
        self.recorder = Recorder(self._log, on_failure)

    @property
    def begun(self) -> datetime:
        """Time of the first event, or the current time if there is no event yet."""
        if not self._log.last_sequence:
            return self._clock()
        return self._log.read(0, 1).events[0].time.ToDatetime(self._clock().tzinfo)

    @property
    def written(self) -> int:
        """Newest event on disk, whether watchers have received it or not."""
        return self._log.last_sequence

    def finished(self) -> pb.SessionFinished | None:
        """Returns the final event if it was written before a crash, or None."""
        last = self._log.last_event()
        return last.session_finished if last is not None and last.HasField("session_finished") else None

    async def tell(self, actor: str, *events: pb.Event) -> None:
        """Records `events` of the actor, subject to the session's text limit."""
        for event in events:
            event.actor = actor
        admitted = self._text.admit(events)
        for event in admitted:
            self._stamp(event, event.actor or actor)
        await self.recorder.record(*admitted)

    async def begin_agent(self) -> None:
        """Begins the agent's text, which has its own limit."""
        await self._end_text()
        self._text = TextLimit(self._agent_limit)

    async def end_agent(self, actor: str, *events: pb.Event) -> None:
        """Records the retained end of the agent's text, then `events` of the actor."""
        await self._end_text()
        await self.tell(actor, *events)

    async def _end_text(self) -> None:
        rest = self._text.end()
        for event in rest:
            self._stamp(event, event.actor)
        await self.recorder.record(*rest)

    async def finish(self, actor: str, finished: pb.SessionFinished) -> None:
        """Writes the final event to disk. Watchers receive it when the recorder is closed. Raises OSError."""
        await self._end_text()
        event = pb.Event(session_finished=finished)
        self._stamp(event, actor)
        await self.recorder.finish(event)

    def _stamp(self, event: pb.Event, actor: str) -> None:
        event.run = str(self._name.parent.parent.parent)
        event.epic = self._name.epic
        event.task = self._name.task
        event.attempt = self._name.number
        event.actor = actor
        event.time.FromDatetime(self._clock())
