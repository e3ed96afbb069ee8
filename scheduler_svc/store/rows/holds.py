"""Stores which model providers are on hold, why, and until when.

The row of a hold that is over stays for a while. Until a session has shown that the provider
works again, only one session tries it, and another failure holds the provider for longer.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.agents import provider_of
from scheduler_svc.policy.pauses import PROBE, hold_seconds
from scheduler_svc.policy.snapshot import ProviderView
from scheduler_svc.store.db import pipeline
from scheduler_svc.store.db.tables import attempts, holds, runs, tasks

_MICROS: Final = 1_000_000

# Time after the end of a hold until its failures are forgotten.
_FORGOTTEN: Final = 3600 * _MICROS

# Times that are further away are shown without seconds.
_BRIEF: Final = 120 * _MICROS

_REMEMBERED: Final = 20_000

_WHY: Final = {
    pb.OUTCOME_RATE_LIMITED: "rate-limited",
    pb.OUTCOME_PROVIDER_UNAVAILABLE: "provider unavailable",
}


# Reasons for sessions that reported none.
_UNTOLD: Final = {
    pb.OUTCOME_UNAUTHORIZED: "it refuses the log-in",
    pb.OUTCOME_OUT_OF_CREDIT: "the account has no credit left",
    pb.OUTCOME_PROVIDER_UNAVAILABLE: "it cannot be reached",
}


# Built once, because nearly each batch of session output runs it.
_DELETE_OVER: Final = sa.delete(holds).where(
    holds.c.provider == sa.bindparam("of_provider"),
    ~holds.c.needs_operator,
    holds.c.until <= sa.bindparam("now"),
)


class Met(NamedTuple):
    """The hold that a session has just met."""

    # Microseconds since 1970. None: until the operator lifts it.
    until: int | None
    # The reason for the task that waits.
    reason: str


def meet(connection: sa.Connection, provider: str, ended: pb.SessionFinished, now: int) -> Met:
    """Holds a provider because a session `ended` with an outage; a longer hold stays.

    Parallel sessions that meet the same outage count as one.
    """
    row = connection.execute(sa.select(holds).where(holds.c.provider == provider)).one_or_none()
    if row is not None and not row.needs_operator and now - row.until > _FORGOTTEN:
        connection.execute(sa.delete(holds).where(holds.c.provider == provider))
        row = None
    repeats = 0 if row is None else row.repeats + (not _is_held(row, now))
    seconds = hold_seconds(ended.outcome, repeats + 1, _wish(ended, now))
    until = now if seconds is None else now + round(seconds * _MICROS)
    reason = ended.reason or _UNTOLD.get(ended.outcome, "it takes no work")
    values = {
        "until": until,
        "needs_operator": seconds is None,
        "cause": ended.outcome,
        "reason": reason,
    }
    if row is None:
        connection.execute(sa.insert(holds), {"provider": provider, "created_at": now, **values})
        return _met(seconds is None, until, ended.outcome, reason, now)
    stays = (row.needs_operator, row.until) > (seconds is None, until)
    change = sa.update(holds).where(holds.c.provider == provider)
    connection.execute(change.values(**({} if stays else values), repeats=repeats))
    if stays:
        return _met(row.needs_operator, row.until, row.cause, row.reason, now)
    return _met(seconds is None, until, ended.outcome, reason, now)


def _met(
    needs_operator: bool,
    until: int,
    cause: "pb.Outcome.ValueType",
    reason: str,
    now: int,
) -> Met:
    if needs_operator:
        return Met(None, reason)
    return Met(until, f"{_WHY.get(cause, 'held')} until {_clock(until, now)}")


def works(connection: sa.Connection, provider: str, now: int) -> None:
    """Records that a provider has just accepted work; an active hold stays."""
    pipeline.later(connection, _DELETE_OVER, {"of_provider": provider, "now": now})


def remove(connection: sa.Connection, provider: str) -> bool:
    """Removes a provider's hold; returns False if there is none."""
    return bool(connection.execute(sa.delete(holds).where(holds.c.provider == provider)).rowcount)


# The holds that are not forgotten yet, and older ones.
HOLDS: Final = sa.select(holds).order_by(holds.c.provider)


def providers_of(connection: sa.Connection, rows: Iterable[Any], now: int) -> tuple[ProviderView, ...]:
    """Returns the providers that are on hold, and those that have not accepted work since their hold.

    `rows` are those of HOLDS.
    """
    known = [row for row in rows if row.needs_operator or now - row.until <= _FORGOTTEN]
    if not known:
        return ()
    tried = _tried(connection, known, now)
    return tuple(
        ProviderView(
            row.provider,
            held=_is_held(row, now),
            refusal=row.reason if row.needs_operator else "",
            tried=row.provider in tried,
        )
        for row in known
    )


def list_holds(connection: sa.Connection, now: int, projects: Collection[str] = ()) -> pb.ListHoldsResponse:
    """Returns the active holds, with the number of tasks and the runs that wait for them.

    Only tasks and runs of `projects` unless that is empty.
    """
    waiting: dict[str, list[str]] = {}
    response = pb.ListHoldsResponse()
    for row in connection.execute(sa.select(holds).order_by(holds.c.provider)).all():
        if not _is_held(row, now):
            continue
        waiting = waiting or _waiting(connection, projects)
        hold = response.holds.add(
            provider=row.provider,
            cause=row.cause,
            reason=row.reason,
            failures=row.repeats + 1,
            runs=[f"runs/{run}" for run in sorted(set(waiting.get(row.provider, ())))],
            waiting_tasks=len(waiting.get(row.provider, ())),
        )
        hold.create_time.FromMicroseconds(row.created_at)
        if not row.needs_operator:
            hold.until.FromMicroseconds(row.until)
    return response


@lru_cache(maxsize=_REMEMBERED)
def provider_of_spec(spec: bytes) -> str:
    """Returns the provider of a task's agent; `spec` is a serialized pb.PlanTask."""
    return provider_of(pb.PlanTask.FromString(spec).agent)


def provider_of_next(spec: bytes, review: bytes | None) -> str:
    """Returns the provider of a task's next attempt, which may review its work; `review` is the task's column."""
    next_review = pb.Review.FromString(review or b"")
    if not review or next_review.verdict == pb.REVIEW_VERDICT_REJECTED:
        return provider_of_spec(spec)
    if next_review.HasField("comparison"):
        return provider_of(pb.PlanTask.FromString(spec).choose.agent)
    return provider_of(pb.PlanTask.FromString(spec).reviews[next_review.position - 1].agent)


def _waiting(connection: sa.Connection, projects: Collection[str]) -> dict[str, list[str]]:
    """Returns, by provider, the runs of its pending tasks; each run once per task."""
    active = sa.select(runs.c.run).where(runs.c.ended_at.is_(None))
    if projects:
        active = active.where(runs.c.project.in_(projects))
    pending = sa.select(tasks.c.run, tasks.c.spec, tasks.c.review).where(
        tasks.c.run.in_(active), tasks.c.state == pb.TASK_STATE_PENDING
    )
    found: dict[str, list[str]] = {}
    for row in connection.execute(pending):
        found.setdefault(provider_of_next(row.spec, row.review), []).append(row.run)
    return found


def _tried(connection: sa.Connection, known: Iterable[Any], now: int) -> set[str]:
    """Returns the providers that a session is trying without a result so far."""
    over = {row.provider: row.until for row in known if not _is_held(row, now)}
    if not over:
        return set()
    young = sa.select(attempts.c.agent, attempts.c.started_at).where(
        attempts.c.ended_at.is_(None), attempts.c.started_at > now - round(PROBE * _MICROS)
    )
    live = [(provider_of(row.agent), row.started_at) for row in connection.execute(young)]
    return {provider for provider, begun in live if provider in over and begun >= over[provider]}


def _is_held(row: Any, now: int) -> bool:
    return bool(row.needs_operator or row.until > now)


def _wish(ended: pb.SessionFinished, now: int) -> float | None:
    if ended.HasField("retry_time"):
        return (ended.retry_time.ToMicroseconds() - now) / _MICROS
    return ended.retry_after.ToNanoseconds() / 1e9 if ended.HasField("retry_after") else None


def _clock(until: int, now: int) -> str:
    time = datetime.fromtimestamp(until / _MICROS, UTC)
    if until - now < _BRIEF:
        return f"{time:%H:%M:%S} UTC"
    today = datetime.fromtimestamp(now / _MICROS, UTC).date() == time.date()
    return f"{time:%H:%M} UTC" if today else f"{time:%Y-%m-%d %H:%M} UTC"
