"""A session's log as the session writes it: every event says whose it is, and when."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from agent_svc.log.event_log import EventLog
from agent_svc.log.recorder import Recorder
from agent_svc.log.text_limit import TextLimit
from heddle import pb
from heddle.clock import Clock
from heddle.names import AttemptName

# The part of the limit that a project's setup has; the rest is its agent's.
_SETUP_PART: Final = 8


class Journal:
    """What is recorded of one session. `on_failure` is called when the disk takes no more.

    `limit`: the bytes of text that are stored. 0: all.
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
        """Time of the first event; now, if there is no event yet."""
        if not self._log.last_sequence:
            return self._clock()
        return self._log.read(0, 1).events[0].time.ToDatetime(self._clock().tzinfo)

    @property
    def written(self) -> int:
        """Newest event on disk, whether watchers have received it or not."""
        return self._log.last_sequence

    def finished(self) -> pb.SessionFinished | None:
        """Returns the end, where it was written before a crash."""
        last = self._log.last_event()
        return last.session_finished if last is not None and last.HasField("session_finished") else None

    async def tell(self, actor: str, *events: pb.Event) -> None:
        """Records `events` as the actor's, as far as the session may store them."""
        for event in events:
            event.actor = actor
        admitted = self._text.admit(events)
        for event in admitted:
            self._stamp(event, event.actor or actor)
        await self.recorder.record(*admitted)

    async def begin_agent(self, actor: str, *events: pb.Event) -> None:
        """Records `events` as the actor's; what the agent writes from here on has a limit of its own."""
        await self._end_text()
        self._text = TextLimit(self._agent_limit)
        await self.tell(actor, *events)

    async def end_agent(self, actor: str, *events: pb.Event) -> None:
        """Records the end of what the agent wrote, then `events` as the actor's."""
        await self._end_text()
        await self.tell(actor, *events)

    async def _end_text(self) -> None:
        rest = self._text.end()
        for event in rest:
            self._stamp(event, event.actor)
        await self.recorder.record(*rest)

    async def finish(self, actor: str, finished: pb.SessionFinished) -> None:
        """Puts the end on disk, untold until the recorder is closed; raises OSError."""
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


def system(text: str) -> pb.Event:
    """Returns what Heddle itself has to say about a session."""
    return pb.Event(output=pb.Output(stream=pb.OUTPUT_STREAM_SYSTEM, text=text))
