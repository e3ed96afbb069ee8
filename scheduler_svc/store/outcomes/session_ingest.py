"""Stores batches of sessions' events, all waiting batches of a transaction with a handful of statements.

Each event is stored exactly once, however often its batch is sent.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from heddle import pb
from heddle.agents import provider_of
from heddle.errors import HeddleError
from heddle.events.kinds import PROMOTED
from heddle.names import AttemptName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.sessions.session_summary import fold
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.engine import is_sqlite
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.statements import INSERT_CHUNK
from scheduler_svc.store.db.tables import attempts as attempts_table
from scheduler_svc.store.rows import allowed_rules, attempts, candidate_worktrees, epics, holds, tasks

_KEY: Final = tuple(attempts_table.primary_key.columns)

_LIVE: Final = sa.select(
    *_KEY,
    attempts_table.c.agent,
    attempts_table.c.state,
    attempts_table.c.session_sequence,
    attempts_table.c.session_result,
    attempts_table.c.turn_micros,
    attempts_table.c.summary,
    attempts_table.c.usage,
    attempts_table.c.record,
).where(attempts_table.c.ended_at.is_(None))

# Live attempts by their keys. PostgreSQL gets the keys as four arrays: the text of the statement, and
# thereby its plan, is the same for any number of keys.
_LIVE_AMONG: Final = _LIVE.where(sa.tuple_(*_KEY).in_(sa.bindparam("keys", expanding=True)))
_WANTED: Final = sa.func.unnest(
    *(sa.bindparam(f"each_{column.name}", type_=ARRAY(column.type)) for column in _KEY)
).table_valued(*(sa.column(column.name, column.type) for column in _KEY))
_LIVE_OF_ARRAYS: Final = _LIVE.join(
    _WANTED.render_derived(name="wanted"),
    sa.and_(*(column == sa.literal_column(f"wanted.{column.name}", column.type) for column in _KEY)),
)


class Batch(NamedTuple):
    """Events of one session, received at `now`, in microseconds."""

    attempt: AttemptName
    events: Sequence[pb.Event]
    now: int
    # The attempt's agent, if its row is known to be as it was at the attempt's start; it is then not read. Empty: it
    # is not known.
    new_agent: str = ""


class _Row(NamedTuple):
    """The row of an attempt that has reported nothing."""

    run: str
    epic: str
    task: str
    number: int
    agent: str
    state: "pb.AttemptState.ValueType" = pb.ATTEMPT_STATE_STARTING
    session_sequence: int = 0
    session_result: bytes | None = None
    turn_micros: int = 0
    summary: bytes = b""
    usage: bytes = b""
    record: bytes = b""


class _Session:
    """A live attempt's session while its batches are taken in."""

    def __init__(self, row: Any) -> None:
        # True: the row was not read, so its update must check that nothing was stored before.
        self.unread = isinstance(row, _Row)
        self.attempt = AttemptName(row.run, row.epic, row.task, row.number)
        self.agent: str = row.agent
        self.turn_micros: int = row.turn_micros
        # A serialized pb.SessionFinished. None until the session has ended.
        self.result: bytes | None = row.session_result
        self.changed = False
        self.folded = pb.Attempt.FromString(row.record)
        self.folded.state = row.state
        self.folded.session_sequence = row.session_sequence
        self.folded.summary.ParseFromString(row.summary)
        self.folded.usage.ParseFromString(row.usage)

    def fresh(self, events: Iterable[pb.Event]) -> list[pb.Event]:
        """Returns the events that are not stored yet; raises INTERNAL if some before them are missing."""
        last = self.folded.session_sequence
        found = [each for each in events if each.sequence > last]
        if found and found[0].sequence != last + 1:
            raise HeddleError(
                pb.ERROR_REASON_INTERNAL, f"the session's log jumps from {last} to {found[0].sequence}"
            )
        return found

    def take(self, events: Sequence[pb.Event]) -> dict[str, object]:
        """Folds fresh events into the session; returns the row of their chunk."""
        for each in events:
            _name(each, self.attempt, self.agent)
            self.turn_micros = max(self.turn_micros, each.usage.cost_usd_micros)
            if each.HasField("session_finished") and self.result is None:
                self.result = each.session_finished.SerializeToString()
        self.folded = fold(self.folded, events)
        self.changed = True
        return {
            **self.attempt._asdict(),
            "first_sequence": events[0].sequence,
            "last_sequence": events[-1].sequence,
            "events": pb.WatchSessionResponse(events=events).SerializeToString(),
        }

    def columns(self) -> dict[str, object]:
        """Returns the values of the columns that the session's events determine, without the state."""
        folded = self.folded
        # The other fields have columns of their own.
        record = pb.Attempt(
            checks=folded.checks,
            approvals=folded.approvals,
            answers=folded.answers,
            agent_session=folded.agent_session if folded.HasField("agent_session") else None,
            background_stopped=folded.background_stopped,
            found_ref=folded.found_ref,
            allowed_rules=folded.allowed_rules,
            review=folded.review if folded.HasField("review") else None,
            takes_over=folded.takes_over,
            submodules_not_filled=(
                folded.submodules_not_filled if folded.HasField("submodules_not_filled") else None
            ),
        )
        return {
            "session_sequence": folded.session_sequence,
            "session_result": self.result,
            "summary": folded.summary.SerializeToString(),
            "usage": folded.usage.SerializeToString(),
            "cost_micros": folded.usage.cost_usd_micros,
            "turn_micros": self.turn_micros,
            "record": record.SerializeToString(),
        }


def ingest(connection: sa.Connection, batches: Sequence[Batch]) -> list[pb.SessionFinished | None]:
    """Stores batches, in their order; returns for each its session's result, once that is stored.

    A batch of an attempt that has ended changes nothing. A batch with a gap before it, or one that the
    attempt's state does not allow, raises, and then nothing of all batches may be committed.
    """
    sessions = _sessions(connection, batches)
    chunks: list[dict[str, object]] = []
    results: list[pb.SessionFinished | None] = []
    # When the provider's model was last seen at work.
    works: dict[str, int] = {}
    for batch in batches:
        session = sessions.get(batch.attempt)
        if session is None:
            results.append(None)
            continue
        fresh = session.fresh(batch.events)
        if fresh:
            was = session.folded.state
            chunks.append(session.take(fresh))
            _note(connection, batch.attempt, fresh, batch.now)
            _set_waiting(connection, batch.attempt, was=was, now_is=session.folded.state)
            if any(map(_shows_a_model, fresh)):
                works[provider_of(session.agent)] = batch.now
        # Also without fresh events: the commit that stored the last of them may have been in doubt.
        results.append(None if session.result is None else pb.SessionFinished.FromString(session.result))
    for provider, now in sorted(works.items()):
        holds.works(connection, provider, now)
    if chunks:
        for chunk in chunks:
            pipeline.later(connection, INSERT_CHUNK, chunk)
        _save(connection, sessions.values())
    return results


def _sessions(connection: sa.Connection, batches: Iterable[Batch]) -> dict[AttemptName, _Session]:
    """Returns the sessions of those attempts of batches that are live, as far as is known without reading them."""
    unread: dict[AttemptName, _Session] = {}
    others: dict[AttemptName, None] = {}
    for batch in batches:
        # Only with a queue is the transaction repeated if the row turns out to be another.
        if batch.new_agent and batch.attempt not in others and pipeline.queues(connection):
            unread.setdefault(batch.attempt, _Session(_Row(*batch.attempt, batch.new_agent)))
        elif batch.attempt not in unread:
            others[batch.attempt] = None
    return unread | (_read(connection, others) if others else {})


def _read(connection: sa.Connection, names: Iterable[AttemptName]) -> dict[AttemptName, _Session]:
    """Returns the sessions of those attempts that are live."""
    if is_sqlite(connection):
        rows = [*connection.execute(_LIVE_AMONG, {"keys": [tuple(name) for name in names]})]
    else:
        columns = zip(*names, strict=True)
        arrays = {f"each_{column.name}": list(each) for column, each in zip(_KEY, columns, strict=True)}
        (rows,) = pipeline.fetch(connection, [(_LIVE_OF_ARRAYS, arrays)])
    sessions = [_Session(row) for row in rows]
    return {session.attempt: session for session in sessions}


def _save(connection: sa.Connection, sessions: Iterable[_Session]) -> None:
    """Writes the rows of the sessions that changed: one statement for each state."""
    changed = defaultdict(list)
    for session in sessions:
        if session.changed:
            key = session.folded.state, session.unread
            changed[key].append((session.attempt, session.columns()))
    for (state, unread), rows in changed.items():
        attempts.move_all(connection, transitions.ATTEMPT_REPORT[state], rows, unreported=unread)


def _shows_a_model(said: pb.Event) -> bool:
    """Returns whether an event can only occur after a response of the agent's model."""
    return said.HasField("tool_started") or said.usage.output_tokens > 0


def _name(each: pb.Event, attempt: AttemptName, agent: str) -> None:
    """Fills in the fields that a worker can omit."""
    each.run = f"runs/{attempt.run}"
    each.epic, each.task, each.attempt = attempt.epic, attempt.task, attempt.number
    if not each.actor:
        each.actor = f"agent:{agent.partition(':')[0]}"


def _note(connection: sa.Connection, attempt: AttemptName, fresh: Sequence[pb.Event], now: int) -> None:
    """Records what events mean for other resources than their attempt."""
    promoted: list[pb.Event] = []
    for each in fresh:
        kind = each.WhichOneof("payload")
        if kind == "setup_finished" and each.setup_finished.ok:
            # No later attempt runs the setup there again.
            set_up = candidate_worktrees.change if attempt.parent.candidate else epics.change
            set_up(connection, attempt.workspace, set_up=each.setup_finished.incarnation)
        elif kind == "approval_resolved":
            allowed_rules.take(connection, attempt, each.approval_resolved, each.actor, now)
        if kind not in PROMOTED:
            continue
        copy = pb.Event()
        copy.CopyFrom(each)
        promoted.append(copy)
        if kind == "approval_requested":
            asked = pb.TaskWaiting(reason=each.approval_requested.question)
            promoted.append(event(attempt, each.actor, task_waiting=asked))
    append(connection, promoted, now)


def _set_waiting(
    connection: sa.Connection,
    attempt: AttemptName,
    *,
    was: "pb.AttemptState.ValueType",
    now_is: "pb.AttemptState.ValueType",
) -> None:
    """Updates the task's state to match its attempt's state."""
    waiting = now_is == pb.ATTEMPT_STATE_WAITING
    if waiting != (was == pb.ATTEMPT_STATE_WAITING):
        tasks.move(connection, attempt.parent, transitions.TASK_ASK if waiting else transitions.TASK_WORK)
