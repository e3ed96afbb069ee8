"""Reads a session's log, which the scheduler stores as chunks of events."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, invalid_field, not_found
from heddle.names import AttemptName
from scheduler_svc.store.db.partitions import in_days_of_attempt
from scheduler_svc.store.db.tables import attempts, session_chunks
from scheduler_svc.store.queries import page_tokens
from scheduler_svc.store.queries.resources import is_attempt

# Maximum sizes of one message of a stream and of one page.
STREAM_BYTES: Final = 256 << 10
_PAGE_BYTES: Final = 1 << 20

# Maximum number of chunks in one read; small chunks are joined.
_CHUNKS: Final = 64


@dataclass(frozen=True)
class Tail:
    """The next events of a session's log."""

    events: list[pb.Event]
    # True: the session has ended and these are its last events.
    complete: bool


def read_tail(connection: sa.Connection, name: AttemptName, after: int) -> Tail:
    """Returns the events after sequence `after`, up to the size of one message.

    Raises NOT_FOUND, and SEQUENCE_OUT_OF_RANGE if the log does not contain that sequence.
    """
    chosen = sa.select(
        attempts.c.session_sequence, attempts.c.session_result.is_not(None), attempts.c.ended_at
    )
    row = connection.execute(chosen.where(*is_attempt(name))).one_or_none()
    if row is None:
        raise not_found(name)
    last, finished, ended_at = row
    check_sequence(after, last)
    events = _forwards(connection, name, after, STREAM_BYTES, _CHUNKS) if after < last else []
    check_kept(after, last, events, partial(oldest_sequence, connection, name, last))
    reached = events[-1].sequence if events else after
    return Tail(events, complete=(finished or ended_at is not None) and reached == last)


def check_sequence(after: int, last: int) -> None:
    """Raises INVALID_FIELD for a negative sequence, SEQUENCE_OUT_OF_RANGE for one after the end of the log."""
    if after < 0:
        raise invalid_field("after_sequence", "must not be negative")
    if after > last:
        raise HeddleError(
            pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE,
            f"the log ends at {last}, so nothing can come after {after}; begin at 0",
            oldest=1,
        )


def check_kept(after: int, last: int, events: Sequence[pb.Event], oldest: Callable[[], int]) -> None:
    """Raises SEQUENCE_OUT_OF_RANGE if the event after `after` has been removed."""
    if after == last or (events and events[0].sequence == after + 1):
        return
    kept_from = oldest()
    raise HeddleError(
        pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE,
        f"the log's events before {kept_from} are no longer kept; begin at {kept_from - 1}"
        + (", where nothing is left of it" if kept_from > last else ""),
        oldest=kept_from,
    )


def oldest_sequence(connection: sa.Connection, name: AttemptName, last: int) -> int:
    """Returns the oldest stored sequence of a session; the next future sequence if there is none."""
    chosen = sa.select(sa.func.min(session_chunks.c.first_sequence)).where(*_of(connection, name))
    oldest = connection.execute(chosen).scalar_one()
    return last + 1 if oldest is None else int(oldest)


def list_session_events(
    connection: sa.Connection, request: pb.ListSessionEventsRequest
) -> pb.ListSessionEventsResponse:
    """Returns a page of a session's events, forwards or backwards; raises NOT_FOUND."""
    name = AttemptName.parse(request.parent)
    size = page_tokens.page_size(request.page_size, 500, 5000)
    if request.before_sequence and request.after_sequence:
        raise invalid_field("before_sequence", "cannot be given together with after_sequence")
    if request.before_sequence < 0 or request.after_sequence < 0:
        raise invalid_field("after_sequence", "must not be negative")
    chosen = sa.select(attempts.c.session_sequence).where(*is_attempt(name))
    last = connection.execute(chosen).scalar_one_or_none()
    if last is None:
        raise not_found(name)
    oldest = oldest_sequence(connection, name, last)
    if request.before_sequence:
        events = _backwards(connection, name, request.before_sequence, size)
        more = bool(events) and events[0].sequence > oldest
    else:
        after = request.after_sequence
        found = _forwards(connection, name, after, _PAGE_BYTES, size)
        events = found[:size]
        if after < last:
            check_kept(after, last, events, lambda: oldest)
        more = bool(events) and events[-1].sequence < last
    return pb.ListSessionEventsResponse(events=events, more=more, last_sequence=last, oldest_sequence=oldest)


def final_text(connection: sa.Connection, name: AttemptName, most: int) -> str:
    """Returns what a session's agent wrote to its reader, up to about the last `most` bytes of the log.

    For an agent that is a command, that is its standard output. Sub-agents and thoughts are left out.
    """
    chosen = _chunks_of(connection, name).order_by(session_chunks.c.first_sequence.desc())
    chunks: list[bytes] = []
    size = 0
    for chunk in connection.execute(chosen).scalars():
        chunks.append(chunk)
        size += len(chunk)
        if size >= most:
            break
    events = pb.WatchSessionResponse.FromString(b"".join(reversed(chunks))).events
    return "".join(map(_written, events))


def _written(event: pb.Event) -> str:
    if event.HasField("output"):
        own = event.output.stream == pb.OUTPUT_STREAM_STDOUT and not event.output.tool_call_id
        return event.output.text if own else ""
    if event.message.kind != pb.MESSAGE_KIND_TEXT or event.message.parent_tool_call_id:
        return ""
    # A message that follows is a paragraph of its own.
    return event.message.text + ("\n\n" if event.message.last else "")


def whole_log(connection: sa.Connection, name: AttemptName) -> Iterator[pb.Event]:
    """Yields all events of a session that are kept, in their order; holds one chunk of its log at a time."""
    chosen = _chunks_of(connection, name).order_by(session_chunks.c.first_sequence)
    for chunk in connection.execute(chosen).scalars():
        yield from pb.WatchSessionResponse.FromString(chunk).events


def _of(connection: sa.Connection, name: AttemptName) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        session_chunks.c.run == name.run,
        session_chunks.c.epic == name.epic,
        session_chunks.c.task == name.task,
        session_chunks.c.number == name.number,
        *in_days_of_attempt(connection, session_chunks, is_attempt(name)),
    )


def _chunks_of(connection: sa.Connection, name: AttemptName) -> sa.Select[Any]:
    return sa.select(session_chunks.c.events).where(*_of(connection, name))


def _forwards(
    connection: sa.Connection, name: AttemptName, after: int, max_bytes: int, max_chunks: int
) -> list[pb.Event]:
    # The chunk that contains `after` starts at or before it; the key is first_sequence.
    begins = (
        sa.select(sa.func.max(session_chunks.c.first_sequence))
        .where(*_of(connection, name), session_chunks.c.first_sequence <= after + 1)
        .scalar_subquery()
    )
    chosen = _chunks_of(connection, name).where(
        session_chunks.c.first_sequence >= begins, session_chunks.c.last_sequence > after
    )
    data: list[bytes] = []
    size = 0
    for chunk in connection.execute(
        chosen.order_by(session_chunks.c.first_sequence).limit(max_chunks)
    ).scalars():
        size += len(chunk)
        if data and size > max_bytes:
            break
        data.append(chunk)
    # The concatenation of serialized messages is one message with all of their events.
    events = pb.WatchSessionResponse.FromString(b"".join(data)).events
    return [event for event in events if event.sequence > after]


def _backwards(connection: sa.Connection, name: AttemptName, before: int, size: int) -> list[pb.Event]:
    chosen = _chunks_of(connection, name).where(session_chunks.c.first_sequence < before)
    pages: list[list[pb.Event]] = []
    count = 0
    taken = 0
    for chunk in connection.execute(
        chosen.order_by(session_chunks.c.first_sequence.desc()).limit(size)
    ).scalars():
        taken += len(chunk)
        if pages and taken > _PAGE_BYTES:
            break
        events = [each for each in pb.WatchSessionResponse.FromString(chunk).events if each.sequence < before]
        pages.append(events)
        count += len(events)
        if count >= size:
            break
    return [event for page in reversed(pages) for event in page][-size:]
