"""Suspends attempts whose model provider accepts no work, and ends the holds of providers.

A suspended attempt is parked: its task is pending, and the next attempt continues with the
agent's session and files.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from heddle import pb
from heddle.agents import provider_of
from heddle.errors import HeddleError, invalid_field
from heddle.names import AttemptName, RunName, TaskName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.policy.pauses import MAX_OUTAGES
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.statements import LIVE_ATTEMPT, of
from scheduler_svc.store.db.tables import NEWEST_ATTEMPT
from scheduler_svc.store.db.tables import attempts as attempts_table
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.db.times import timestamp
from scheduler_svc.store.queries.resources import is_task
from scheduler_svc.store.rows import attempts, holds, runs, tasks, usage_totals
from scheduler_svc.store.rows.usage_totals import Used


def suspend(connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished, now: int) -> bool:
    """Ends a live attempt because of an outage, and puts its provider on hold.

    Returns False and does nothing if the attempt must end for good: it was stopped,
    or its task has lost its provider too often in a row.
    """
    row = connection.execute(LIVE_ATTEMPT, of(attempt)).one_or_none()
    if row is None:
        return True
    unavailable = result.outcome == pb.OUTCOME_PROVIDER_UNAVAILABLE
    outages = connection.execute(
        sa.select(tasks_table.c.outages).where(*is_task(attempt.parent))
    ).scalar_one()
    if row.stop_reason is not None or (unavailable and outages >= MAX_OUTAGES):
        return False
    parked = transitions.ATTEMPT_END[pb.ATTEMPT_STATE_PARKED]
    attempts.move(connection, attempt, parked, now=now, reason=result.reason, counts=False)
    usage_totals.add(connection, [Used(attempt, row.usage, row.cost_micros, accepted=False)])
    met = holds.meet(connection, provider_of(row.agent), result, now)
    tasks.move(
        connection,
        attempt.parent,
        transitions.TASK_SUSPEND,
        reason=met.reason,
        outages=outages + unavailable,
    )
    waiting = pb.TaskWaiting(reason=met.reason, parked=True)
    if met.until is not None:
        waiting.until.CopyFrom(timestamp(met.until))
    append(connection, [event(attempt, "scheduler", task_waiting=waiting)], now)
    return True


def lift_hold(connection: sa.Connection, provider: str, actor: str, now: int) -> list[RunName]:
    """Ends a provider's hold and resumes the runs that it paused; returns these runs.

    Raises NOT_FOUND if the provider is not on hold.
    """
    if not provider:
        raise invalid_field("provider", "names none; `heddle holds` lists those that are held")
    if not end_hold(connection, provider, actor, now):
        raise HeddleError(
            pb.ERROR_REASON_NOT_FOUND,
            f"no hold on {provider!r}; `heddle holds` lists those that are held",
            resource=provider,
        )
    paused = sa.select(runs_table.c.run, runs_table.c.started_at).where(
        runs_table.c.state == pb.RUN_STATE_PAUSED, runs_table.c.held_by == provider
    )
    resumed = []
    for row in connection.execute(paused.order_by(runs_table.c.run)).all():
        unstarted = row.started_at is None
        resume = transitions.RUN_RESUME_PENDING if unstarted else transitions.RUN_RESUME
        runs.move(connection, RunName(row.run), resume)
        append(connection, [event(RunName(row.run), actor, run_resumed=pb.RunResumed())], now)
        resumed.append(RunName(row.run))
    return resumed


def end_hold(connection: sa.Connection, provider: str, actor: str, now: int) -> bool:
    """Lets a provider's agents start again; returns False and does nothing if it is not on hold."""
    if not holds.remove(connection, provider):
        return False
    for task in _suspended(connection, provider):
        tasks.change(connection, task, reason="")
        lifted = pb.HoldLifted(provider=provider)
        append(connection, [event(task, actor, hold_lifted=lifted)], now)
    return True


def _suspended(connection: sa.Connection, provider: str) -> Iterator[TaskName]:
    """Yields the tasks that have started and wait for this provider."""
    waiting = (
        sa.select(
            tasks_table.c.run,
            tasks_table.c.epic,
            tasks_table.c.task,
            tasks_table.c.spec,
            tasks_table.c.review,
        )
        .join(attempts_table, NEWEST_ATTEMPT)
        .where(
            tasks_table.c.run.in_(sa.select(runs_table.c.run).where(runs_table.c.ended_at.is_(None))),
            tasks_table.c.state == pb.TASK_STATE_PENDING,
            attempts_table.c.state == pb.ATTEMPT_STATE_PARKED,
            tasks_table.c.reason != "",
        )
        .order_by(tasks_table.c.run, tasks_table.c.epic, tasks_table.c.position)
    )
    for row in connection.execute(waiting).all():
        if holds.provider_of_next(row.spec, row.review) == provider:
            yield TaskName(row.run, row.epic, row.task)
