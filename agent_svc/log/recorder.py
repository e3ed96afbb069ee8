"""Collects a session's events, joins small ones, and sends them to watchers once they are on disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from agent_svc.log.event_log import EventLog
from heddle import pb

# Seconds that a piece of text waits to be joined with the next one.
JOIN_WINDOW: Final = 0.1

# Maximum length of joined text, in characters.
MAX_TEXT: Final = 32 << 10

# Seconds without an event after which a watcher receives a checkpoint.
CHECKPOINT: Final = 5.0

# Bytes that may wait to be written before `record` blocks its caller.
MAX_PENDING: Final = 1 << 20


def ignore(_: OSError) -> None:
    """Ignores a failure."""


class Recorder:
    """The live end of one session's log.

    Watchers are cheap: each reads the file and waits for one shared doorbell.
    When writing fails, `on_failure` is called once and later events are dropped.
    """

    def __init__(self, log: EventLog, on_failure: Callable[[OSError], None] = ignore) -> None:
        self._log = log
        self._on_failure = on_failure
        self._pending: list[pb.Event] = []
        self._pending_bytes = 0
        self._flushing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: OSError | None = None
        self._doorbell = asyncio.Event()
        self._told = log.last_sequence
        self.closed = False

    @property
    def last_sequence(self) -> int:
        """Newest event that is on disk."""
        return self._told

    async def record(self, *events: pb.Event) -> None:
        """Accepts events. Returns before they are on disk, unless too many bytes are waiting to be written.

        Text waits up to 100 ms to be joined. Any other event is written at once, with the text that waits.
        """
        if self._failure is not None:
            return
        for event in events:
            if not (self._pending and join(self._pending[-1], event)):
                self._pending.append(event)
            self._pending_bytes += event.ByteSize()
        if self._pending_bytes > MAX_PENDING:
            await self._flush()
        elif any(not is_text(event) for event in events):
            self._begin_flush()
        elif self._timer is None and events:
            self._timer = asyncio.get_running_loop().call_later(JOIN_WINDOW, self._begin_flush)

    def _begin_flush(self) -> None:
        task = asyncio.create_task(self._flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        try:
            await self._write()
        except OSError as error:
            if self._failure is None:
                self._failure = error
                self._on_failure(error)
        else:
            self._told = self._log.last_sequence
            self._ring()

    async def _write(self) -> None:
        async with self._flushing:
            self._cancel_timer()
            batch, self._pending = self._pending, []
            self._pending_bytes = 0
            if not batch:
                return
            await asyncio.to_thread(self._log.append, batch)

    async def finish(self, last: pb.Event) -> None:
        """Writes all collected events, and `last`, to disk; `close` sends them to watchers. Raises OSError."""
        await self._rest()
        if self._failure is not None:
            raise self._failure
        self._pending.append(last)
        await self._write()

    async def forget(self) -> None:
        """After a write failure, drops all events that are not on disk, so that recording can resume."""
        await self._rest()
        self._pending = []
        self._pending_bytes = 0
        self._failure = None

    async def _rest(self) -> None:
        self._cancel_timer()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Sends the remaining events to watchers, then closes the log and its watches. No event may follow."""
        self._log.close()
        self._told = self._log.last_sequence
        self.closed = True
        self._ring()

    def _ring(self) -> None:
        self._doorbell.set()
        self._doorbell = asyncio.Event()

    async def watch(self, after: int) -> AsyncIterator[pb.AgentServiceWatchSessionResponse]:
        """Yields the events after `after` until the log is closed, and checkpoints while there are none."""
        while True:
            doorbell = self._doorbell
            while after < self._told:
                response = await asyncio.to_thread(self._log.read, after, self._told)
                after = response.resume_sequence
                yield response
            if doorbell.is_set():
                continue
            if self.closed:
                return
            try:
                await asyncio.wait_for(doorbell.wait(), CHECKPOINT)
            except TimeoutError:
                yield pb.AgentServiceWatchSessionResponse(resume_sequence=after)


def is_text(event: pb.Event) -> bool:
    """True if the event is a piece of text that may wait to be joined with the next one."""
    return event.HasField("output") or (event.HasField("message") and not event.message.last)


def join(event: pb.Event, following: pb.Event) -> bool:
    """Appends the text of `following` to `event` if both belong to the same text. Returns whether it did."""
    source = _source(event)
    if source is None or source != _source(following) or not is_text(event):
        return False
    if event.HasField("output"):
        return _join_texts(event.output, following.output)
    if not _join_texts(event.message, following.message):
        return False
    event.message.last = following.message.last
    return True


def _source(event: pb.Event) -> tuple[object, ...] | None:
    """Returns a key that all pieces of the same text share, or None for an event without text."""
    if event.HasField("output"):
        return event.actor, event.output.stream, event.output.tool_call_id
    if event.HasField("message"):
        return event.actor, "message", event.message.kind, event.message.parent_tool_call_id
    return None


def _join_texts(one: pb.Output | pb.Message, two: pb.Output | pb.Message) -> bool:
    fits = len(one.text) + len(two.text) <= MAX_TEXT
    if fits:
        one.text += two.text
    return fits
