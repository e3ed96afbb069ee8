"""Writes how candidates end: passed, taken over, or not chosen. Every write is idempotent.

A candidate is a task of its own, whose attempt is SUBMITTED once its checks have passed. Its work is then kept, and no
branch has moved. An attempt of the task itself takes over the work of the chosen candidate.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, TaskName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.pipeline import fetch
from scheduler_svc.store.db.statements import ACCEPTING, ANY_ATTEMPT, LIVE_ATTEMPT, of
from scheduler_svc.store.db.tables import attempts as attempts_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.outcomes.attempt_outcomes import accept_task, end, ends_for_good, note_commit
from scheduler_svc.store.queries.resources import attempts_at
from scheduler_svc.store.rows import attempts, tasks, usage_totals
from scheduler_svc.store.rows.usage_totals import Used


def candidate_rows(connection: sa.Connection, task: TaskName) -> list[sa.Row[Any]]:
    """Returns all columns of a task's candidates, by number; empty before they have started."""
    names = [task.of_candidate(number).task for number in range(1, 10)]
    chosen = sa.select(tasks_table).where(
        tasks_table.c.run == task.run, tasks_table.c.epic == task.epic, tasks_table.c.task.in_(names)
    )
    return list(connection.execute(chosen.order_by(tasks_table.c.candidate)))


def submit(
    connection: sa.Connection,
    attempt: AttemptName,
    committed: pb.CommitTaskResponse,
    score: float | None,
    now: int,
) -> None:
    """Ends a candidate's live attempt whose checks passed. Does nothing if it has ended.

    If it was stopped for good, the candidate fails instead, and its work is kept as well.
    """
    row = connection.execute(LIVE_ATTEMPT, of(attempt)).one_or_none()
    if row is None:
        return
    record = pb.Attempt.FromString(row.record)
    record.kept_ref = committed.kept_ref
    note_commit(record, committed)
    usage_totals.add(connection, [Used(attempt, row.usage, row.cost_micros, accepted=False)])
    if (reason := ends_for_good(row)) is not None:
        end(connection, attempt, pb.ATTEMPT_STATE_STOPPED, reason=reason, record=record, now=now)
        tasks.move(connection, attempt.parent, transitions.TASK_FAIL, reason=reason)
        failed = pb.TaskFailed(reason=reason, kept_ref=committed.kept_ref)
        append(connection, [event(attempt, "scheduler", task_failed=failed)], now)
        return
    record.commit = committed.commit
    end(connection, attempt, pb.ATTEMPT_STATE_SUBMITTED, record=record, now=now)
    move = transitions.TASK_PASS
    tasks.move(connection, attempt.parent, move, commit_id=committed.commit, score=score)
    passed = pb.CandidatePassed(commit=committed.commit, diff_stat=committed.diff_stat, score=score)
    append(connection, [event(attempt, "scheduler", candidate_passed=passed)], now)


def accept(
    connection: sa.Connection,
    attempt: AttemptName,
    candidate: AttemptName,
    committed: pb.CommitTaskResponse,
    now: int,
) -> None:
    """Accepts the task of a live attempt with the work of `candidate`; does nothing if the attempt has ended."""
    (rows,) = fetch(connection, [(ACCEPTING, of(attempt))])
    if not rows:
        return
    (row,) = rows
    won = connection.execute(ANY_ATTEMPT, of(candidate)).one()
    record = pb.Attempt.FromString(row.record)
    record.commit = committed.commit
    record.checks.extend(pb.Attempt.FromString(won.record).checks)
    note_commit(record, committed)
    end(connection, attempt, pb.ATTEMPT_STATE_ACCEPTED, record=record, now=now)
    accept_task(connection, attempt, committed, now, row)
    attempts.move(connection, candidate, transitions.ATTEMPT_DECIDE[pb.ATTEMPT_STATE_ACCEPTED], reason="")
    tasks.move(connection, candidate.parent, transitions.TASK_WIN)
    give_up(connection, attempt.parent, f"candidate {candidate.parent.candidate} was chosen")


def choose_compared(connection: sa.Connection, attempt: AttemptName, done: pb.Review, now: int) -> None:
    """Ends a live comparison with the choice of a candidate; does nothing if it has ended."""
    row = connection.execute(LIVE_ATTEMPT, of(attempt)).one_or_none()
    if row is None:
        return
    best, reason = done.comparison.best, done.comparison.reason
    record = pb.Attempt.FromString(row.record)
    record.review.CopyFrom(done)
    end(connection, attempt, pb.ATTEMPT_STATE_REVIEWED, record=record, counts=False, now=now)
    usage_totals.add(connection, [Used(attempt, row.usage, row.cost_micros, accepted=False)])
    tasks.move(connection, attempt.parent, transitions.TASK_CHOOSE, chosen=best)
    chosen = pb.CandidateChosen(candidate=best, reason=reason, agent=row.agent)
    append(connection, [event(attempt, "scheduler", candidate_chosen=chosen)], now)


def give_up(connection: sa.Connection, task: TaskName, reason: str) -> None:
    """Ends the wait of a task's candidates for a choice, except of the accepted one."""
    for attempt in _submitted(connection, task):
        move = transitions.ATTEMPT_DECIDE[pb.ATTEMPT_STATE_NOT_CHOSEN]
        attempts.move(connection, attempt, move, reason=reason)


def _submitted(connection: sa.Connection, task: TaskName) -> Iterator[AttemptName]:
    for row in candidate_rows(connection, task):
        name = task.of_candidate(row.candidate)
        chosen = sa.select(attempts_table.c.number).where(
            *attempts_at(name), attempts_table.c.state == pb.ATTEMPT_STATE_SUBMITTED
        )
        yield from map(name.attempt, connection.execute(chosen).scalars().all())
