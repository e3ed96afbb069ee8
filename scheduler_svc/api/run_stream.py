"""Streams a run's log together with the changed resources, and streams a session's log."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from google.protobuf.message import Message

from heddle import pb
from heddle.names import AttemptName, RunName, TaskName
from heddle.plan.validation.candidate_rules import MOST
from scheduler_svc.model.lifecycle.states import ENDED_RUN
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import Doorbell, Listener, summaries
from scheduler_svc.store.db.events import oldest_event, read_events
from scheduler_svc.store.queries.records import attempt_rows, live_attempts
from scheduler_svc.store.queries.resources import summary_of
from scheduler_svc.store.queries.run_page import read_changed, read_head
from scheduler_svc.store.queries.session_log import STREAM_BYTES, check_kept, check_sequence, read_tail

T = TypeVar("T", bound=Message)

# Seconds between checkpoints of an idle stream.
CHECKPOINT: Final = 5.0

# Seconds between reads of a run's log. In a busy run, the events of one read share a message.
_BREATH: Final = 0.05

# Seconds between the summaries of one session.
SUMMARY_INTERVAL: Final = 0.5

_EVENTS: Final = 500


@dataclass(frozen=True)
class _Page:
    events: list[pb.Event]
    run: pb.Run
    epics: list[pb.Epic]
    tasks: list[pb.Task]
    # True: the run has ended, and these are its last events.
    is_last: bool


async def watch_session(
    database: Database, doorbell: Doorbell, name: AttemptName, after: int
) -> AsyncIterator[pb.WatchSessionResponse]:
    """Yields a session's events after sequence `after`, up to its last event."""
    with doorbell.listen(str(name)) as bell:
        while True:
            tail = await database.read(partial(read_tail, name=name, after=after))
            if tail.events:
                after = tail.events[-1].sequence
                yield pb.WatchSessionResponse(events=tail.events, resume_sequence=after)
            if tail.complete:
                return
            if not tail.events and not await bell.wait(CHECKPOINT):
                yield pb.WatchSessionResponse(resume_sequence=after)


async def watch_run(
    database: Database, doorbell: Doorbell, name: RunName, after: int
) -> AsyncIterator[pb.WatchRunResponse]:
    """Yields a run's events after `after`, the resources they changed, and summaries, until the run ends."""
    run_topic, summary_topic = str(name), summaries(name)
    news = _Summaries(name.run)
    state = None
    with doorbell.listen(run_topic, summary_topic) as bell:
        while True:
            page = await database.read(partial(_read_page, name=name, after=after, is_first=state is None))
            for answer in _answers(page, after, state):
                yield answer
            state = page.run.state
            if page.is_last:
                return
            if page.events:
                after = page.events[-1].sequence
            if after < page.run.sequence:
                continue
            if news.due_in() <= 0:
                found = await database.read(news.read)
                for group in grouped(found):
                    yield pb.WatchRunResponse(resume_sequence=after, summaries=group)
            await asyncio.sleep(_BREATH)
            if not await _rung(bell, run_topic, news):
                yield pb.WatchRunResponse(resume_sequence=after)


async def _rung(bell: Listener, run_topic: str, news: "_Summaries") -> bool:
    """Waits until there may be something to read; returns False if a checkpoint is due."""
    while True:
        due = max(news.due_in(), 0.0)
        rung = await bell.wait(due if news.pending else CHECKPOINT)
        if run_topic in rung:
            news.pending = True
            return True
        if rung:
            news.pending = True
        elif not news.pending:
            return False
        if news.due_in() <= 0:
            return True


class _Summaries:
    """Tracks which session summaries a watcher has received."""

    def __init__(self, run: str) -> None:
        self._run = run
        # The session_sequence and state of each live session, as last sent.
        self._sent: dict[AttemptName, tuple[int, int]] = {}
        self._next = 0.0
        # True: something may have changed since the last read.
        self.pending = True

    def due_in(self) -> float:
        """Returns the seconds until summaries may be sent again; infinite if there are none."""
        if not self.pending:
            return float("inf")
        return self._next - time.monotonic()

    def read(self, connection: Connection) -> list[pb.SessionSummary]:
        """Returns the summaries that changed, including the last one of each session that has ended."""
        rows = live_attempts(connection, self._run)
        names = {AttemptName(row.run, row.epic, row.task, row.number) for row in rows}
        for name in self._sent.keys() - names:
            rows += attempt_rows(connection, name)
        found = []
        for row in rows:
            name = AttemptName(row.run, row.epic, row.task, row.number)
            version = (row.session_sequence, row.state)
            if self._sent.get(name) != version:
                found.append(summary_of(row))
            if row.ended_at is None:
                self._sent[name] = version
            else:
                self._sent.pop(name, None)
        self.pending = False
        if found:
            self._next = time.monotonic() + SUMMARY_INTERVAL
        return found


def _read_page(connection: Connection, name: RunName, after: int, *, is_first: bool) -> _Page:
    head = read_head(connection, name)
    run = head.run
    check_sequence(after, run.sequence)
    events = read_events(connection, name.run, after, _EVENTS, STREAM_BYTES) if after < run.sequence else []
    oldest = partial(oldest_event, connection, name.run, run.sequence)
    check_kept(after, run.sequence, events, oldest)
    reached = events[-1].sequence if events else after
    is_last = run.state in ENDED_RUN and reached == run.sequence
    created = any(event.HasField("run_created") for event in events)
    if created or (is_first and after and oldest() == after + 1):
        return _Page(events, run, *read_changed(connection, head, None, ()), is_last)
    touched_epics = {event.epic for event in events if event.epic}
    touched_tasks = {(event.epic, event.task) for event in events if event.task}
    # With a candidate, its task changes too, and a task with its candidates.
    wholes = {(epic, TaskName(name.run, epic, task).whole.task) for epic, task in touched_tasks}
    changed, tasks = read_changed(connection, head, touched_epics, touched_tasks | wholes)
    if tried := [task for task in tasks if task.candidates]:
        names = (
            TaskName.parse(task.name).of_candidate(each) for task in tried for each in range(1, MOST + 1)
        )
        others = {(each.epic, each.task) for each in names} - touched_tasks
        tasks += read_changed(connection, head, {epic for epic, _ in others}, others)[1]
    return _Page(events, run, changed, tasks, is_last)


def _answers(page: _Page, after: int, state: "pb.RunState.ValueType | None") -> Iterable[pb.WatchRunResponse]:
    if page.events or page.tasks:
        yield from _packed(page, after)
    elif page.run.state != state:
        # Cancelling a run writes no event.
        yield pb.WatchRunResponse(resume_sequence=after, run=page.run)


def _packed(page: _Page, after: int) -> Iterable[pb.WatchRunResponse]:
    """Yields the page as messages of about 256 KiB.

    Only events advance resume_sequence, and they come last. A stream that breaks in between
    therefore sends resources again, which is harmless, and loses none.
    """
    answer = pb.WatchRunResponse(resume_sequence=after, run=page.run, epics=page.epics)
    size = answer.ByteSize()
    for task in page.tasks:
        if size + task.ByteSize() > STREAM_BYTES and size:
            yield answer
            answer = pb.WatchRunResponse(resume_sequence=after)
            size = 0
        answer.tasks.append(task)
        size += task.ByteSize()
    if size + sum(event.ByteSize() for event in page.events) > STREAM_BYTES:
        yield answer
        answer = pb.WatchRunResponse()
    answer.events.extend(page.events)
    answer.resume_sequence = page.events[-1].sequence if page.events else after
    yield answer


def grouped(found: Iterable[T]) -> Iterable[list[T]]:
    """Yields messages in groups that fit one."""
    group: list[T] = []
    size = 0
    for each in found:
        if group and size + each.ByteSize() > STREAM_BYTES:
            yield group
            group, size = [], 0
        group.append(each)
        size += each.ByteSize()
    if group:
        yield group
